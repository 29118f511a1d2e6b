//! What of an update depends on the number of the step: the same formulas as `scalars` of each rule in
//! [`crate::optim`], in double precision and rounded once.

use super::refuse;
use crate::onnx::builder::{Builder, int};
use crate::onnx::proto::element;
use crate::optim::{NAdam, Optimizer};
use crate::train::TrainError;

/// Longest list of products.
const LONGEST: usize = 65_536;

/// Formulas of the step's number in double precision.
struct Formulas<'a> {
    b: &'a mut Builder,
    /// The number of the step.
    t: String,
}

impl Formulas<'_> {
    fn two(&mut self, op: &str, a: &str, b: &str) -> String {
        self.b.two(op, a, b)
    }

    fn number(&mut self, x: f64) -> String {
        self.b.double(x)
    }

    /// `beta^t`
    fn power(&mut self, beta: f64) -> String {
        let (beta, t) = (self.number(beta), self.t.clone());
        self.two("Pow", &beta, &t)
    }

    /// `1 - beta^t`
    fn missing(&mut self, beta: f64) -> String {
        let (one, power) = (self.number(1.0), self.power(beta));
        self.two("Sub", &one, &power)
    }

    fn inverse(&mut self, x: &str) -> String {
        let one = self.number(1.0);
        self.two("Div", &one, x)
    }

    fn root(&mut self, x: &str) -> String {
        self.b.one("Sqrt", x)
    }

    fn single(&mut self, x: &str) -> String {
        self.b.node("Cast", &[x], vec![int("to", i64::from(element::FLOAT))])
    }
}

/// The scalars of an optimizer's step `number`, an integer.
///
/// # Errors
/// If a list that they need would be too long.
pub fn of(b: &mut Builder, optimizer: &Optimizer, number: &str) -> Result<Vec<String>, TrainError> {
    let t = b.cast(number, element::DOUBLE);
    let mut f = Formulas { b, t };
    let found = match optimizer {
        Optimizer::Adam(_) | Optimizer::AdamW(_) | Optimizer::Lamb(_) => {
            let betas = match optimizer {
                Optimizer::Adam(rule) => rule.betas,
                Optimizer::AdamW(rule) => rule.betas,
                Optimizer::Lamb(rule) => rule.betas,
                _ => [0.0; 2],
            };
            let (mean, square) = (f.missing(betas[0]), f.missing(betas[1]));
            let root = f.root(&square);
            vec![f.inverse(&mean), f.inverse(&root)]
        }
        Optimizer::Adamax(rule) => {
            let mean = f.missing(rule.betas[0]);
            vec![f.inverse(&mean)]
        }
        Optimizer::RAdam(rule) => rectified(&mut f, rule.betas),
        Optimizer::Adagrad(rule) => {
            let (one, decay, t) = (f.number(1.0), f.number(rule.lr_decay), f.t.clone());
            let past = f.two("Sub", &t, &one);
            let lost = f.two("Mul", &past, &decay);
            let divisor = f.two("Add", &lost, &one);
            vec![f.inverse(&divisor)]
        }
        Optimizer::Sgd(rule) => {
            let (one, damped, t) = (f.number(1.0), f.number(1.0 - rule.dampening), f.t.clone());
            let later = f.two("Less", &one, &t);
            vec![f.b.node("Where", &[&later, &damped, &one], vec![])]
        }
        Optimizer::RmsProp(_) | Optimizer::Adadelta(_) | Optimizer::Lion(_) => vec![],
        Optimizer::NAdam(rule) => nesterov(&mut f, rule)?,
    };
    Ok(found.iter().map(|scalar| f.single(scalar)).collect())
}

/// Those of NAdam: the factors of the gradient and of the mean, and the correction of the root. The product of the
/// momenta of all steps before has no formula of the step's number: it is read from a list, which ends where it no
/// longer matters.
fn nesterov(f: &mut Formulas, rule: &NAdam) -> Result<Vec<String>, TrainError> {
    let products: Vec<f64> = rule.products().take(LONGEST + 1).collect();
    if products.len() > LONGEST {
        let what = "has a product of momenta that matters for more than 65536 steps";
        return Err(refuse(what, "`train.optimizer.betas`; begin with a smaller one, such as 0.9"));
    }
    let last = f.number(products.len() as f64 - 1.0);
    let t = f.t.clone();
    let at = f.two("Min", &t, &last);
    let at = f.b.cast(&at, element::INT64);
    let list = f.b.doubles(&products);
    let product = f.two("Gather", &list, &at);
    let (one, base) = (f.number(1.0), f.number(rule.base()));
    let momentum = |f: &mut Formulas, t: &str| {
        let power = f.two("Pow", &base, t);
        let [half, first] = [0.5, rule.betas[0]].map(|x| f.number(x));
        let lost = f.two("Mul", &half, &power);
        let rest = f.two("Sub", &one, &lost);
        f.two("Mul", &first, &rest)
    };
    let later = f.two("Add", &t, &one);
    let (now, next) = (momentum(f, &t), momentum(f, &later));
    let (rest, missing) = (f.two("Sub", &one, &now), f.two("Sub", &one, &product));
    let gradient = f.two("Div", &rest, &missing);
    let ahead = f.two("Mul", &product, &next);
    let missing = f.two("Sub", &one, &ahead);
    let mean = f.two("Div", &next, &missing);
    let square = f.missing(rule.betas[1]);
    let root = f.root(&square);
    Ok(vec![gradient, mean, f.inverse(&root)])
}

/// Those of RAdam: the mean's correction, the factor of the reciprocal root, and what is added to it.
fn rectified(f: &mut Formulas, [b1, b2]: [f64; 2]) -> Vec<String> {
    let longest = 2.0 / (1.0 - b2) - 1.0;
    let mean = f.missing(b1);
    let mean = f.inverse(&mean);
    let (missing, power, t) = (f.missing(b2), f.power(b2), f.t.clone());
    let [zero, one, two, four, five] = [0.0, 1.0, 2.0, 4.0, 5.0].map(|x| f.number(x));
    let product = f.two("Mul", &t, &power);
    let twice = f.two("Mul", &product, &two);
    let lost = f.two("Div", &twice, &missing);
    let whole = f.number(longest);
    let length = f.two("Sub", &whole, &lost);
    let known = f.two("Less", &five, &length);
    // Where the variance is not known, the root is of some positive number.
    let some = f.b.node("Where", &[&known, &length, &five], vec![]);
    let (less4, less2) = (f.two("Sub", &some, &four), f.two("Sub", &some, &two));
    let above = f.two("Mul", &less4, &less2);
    let above = f.two("Mul", &above, &whole);
    let below = f.number((longest - 4.0) * (longest - 2.0));
    let below = f.two("Mul", &below, &some);
    let square = f.two("Div", &above, &below);
    let (rectified, root) = (f.root(&square), f.root(&missing));
    let factor = f.two("Mul", &rectified, &root);
    let factor = f.b.node("Where", &[&known, &factor, &zero], vec![]);
    vec![mean, factor, f.b.node("Where", &[&known, &zero, &one], vec![])]
}
