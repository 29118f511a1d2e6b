//! The changed inputs, as a graph.

use super::{AdversarialTraining, Method, ModelGraph, Norm, Perturbed, Room, at};
use crate::base::rng::{RandomKind, streams};
use crate::graph::{Built, Graph, GraphError, ValueId, autodiff};
use crate::scalar::UnaryFn;

/// Added to squared lengths, so that those of zeros have a root with a reciprocal.
const TINY: f64 = 1e-24;

/// The rows `x`, `[B, features]`, changed so that the loss of `evaluated` grows, or with TRADES the divergence of its
/// predictions from those at `x`.
pub(super) fn attacked(graph: &mut Graph, x: ValueId, evaluated: &ModelGraph, of: &Perturbed) -> Built {
    graph.set_layer("adversarial");
    let around = Around::new(graph, x, &of.how, &of.room)?;
    let (steps, length) = of.how.descent();
    let mut changed = around.start(graph)?;
    for _ in 0..steps {
        let slope = around.slope(graph, evaluated, changed)?;
        let direction = around.direction(graph, slope)?;
        let step = graph.mul_scalar(direction, length * of.how.radius)?;
        changed = around.moved(graph, changed, step)?;
    }
    Ok(changed)
}

/// The Kullback-Leibler divergence of each row's predicted probabilities at `near` from those at `clean`, `[B]`; both
/// are logits, `[B, classes]`, or of the second of two classes, `[B, 1]`.
pub(super) fn divergence(graph: &mut Graph, clean: ValueId, near: ValueId) -> Built {
    let mut logs = |logits: ValueId| {
        let logits = match graph.shape(logits)[1] {
            1 => graph.pad(logits, &[0, 1], &[0, 0])?,
            _ => logits,
        };
        graph.log_softmax(logits)
    };
    let (p, q) = (logs(clean)?, logs(near)?);
    let difference = graph.sub(p, q)?;
    let probability = graph.exp(p)?;
    let product = graph.mul(probability, difference)?;
    graph.sum(product, &[1], false)
}

/// The points around rows that changes may lead to.
struct Around<'a> {
    how: &'a AdversarialTraining,
    /// The rows, `[B, features]`.
    x: ValueId,
    /// One unit of distance, `[1, features]`, and its reciprocal, or zeros.
    scale: ValueId,
    inverse: ValueId,
    /// Bounds of each number, `[B, features]`.
    low: ValueId,
    high: ValueId,
}

impl<'a> Around<'a> {
    fn new(
        graph: &mut Graph,
        x: ValueId,
        how: &'a AdversarialTraining,
        room: &Room,
    ) -> Result<Self, GraphError> {
        let row = [1, room.scale.len()];
        let mut constant = |values: Vec<f32>| graph.constant(&row, &values);
        let scale = constant(room.scale.clone())?;
        let inverse = constant(room.scale.iter().map(|&s| if s > 0.0 { 1.0 / s } else { 0.0 }).collect())?;
        let low = constant(room.range.iter().map(|range| range[0]).collect())?;
        let high = constant(room.range.iter().map(|range| range[1]).collect())?;
        // A number beyond the training rows' range, by noise or augmentation, may stay where it is.
        let (mut low, mut high) = (graph.minimum(low, x)?, graph.maximum(high, x)?);
        if how.norm == Norm::Infinity {
            let reach = graph.mul_scalar(scale, how.radius)?;
            let (below, above) = (graph.sub(x, reach)?, graph.add(x, reach)?);
            (low, high) = (graph.maximum(low, below)?, graph.minimum(high, above)?);
        }
        Ok(Self { how, x, scale, inverse, low, high })
    }

    /// A random point: uniform in the box, or of a random direction and length.
    fn start(&self, graph: &mut Graph) -> Built {
        let shape = graph.shape(self.x).clone();
        let radius = self.how.radius;
        let offset = match self.how.norm {
            Norm::Infinity => {
                let uniform = graph.random(RandomKind::Uniform, streams::ATTACK, &shape)?;
                let doubled = graph.mul_scalar(uniform, 2.0 * radius)?;
                graph.add_scalar(doubled, -radius)?
            }
            Norm::Two => {
                let normal = graph.random(RandomKind::Normal, streams::ATTACK, &shape)?;
                let mask = graph.mul(self.scale, self.inverse)?;
                let moving = graph.mul(normal, mask)?;
                let direction = self.direction(graph, moving)?;
                let uniform = graph.random(RandomKind::Uniform, streams::ATTACK ^ 0x100, &[shape[0], 1])?;
                let length = graph.mul_scalar(uniform, radius)?;
                graph.mul(direction, length)?
            }
        };
        self.moved(graph, self.x, offset)
    }

    /// The slope of what is to grow, per unit of distance, at `changed`.
    fn slope(&self, graph: &mut Graph, evaluated: &ModelGraph, changed: ValueId) -> Built {
        let rows = match self.how.method {
            Method::Fgsm | Method::Pgd => {
                at(graph, &evaluated.graph, &[evaluated.loss_rows], changed)?.of(evaluated.loss_rows)
            }
            Method::Trades => {
                let root = evaluated.predictions;
                let clean = at(graph, &evaluated.graph, &[root], self.x)?.of(root);
                let near = at(graph, &evaluated.graph, &[root], changed)?.of(root);
                graph.set_layer("adversarial");
                divergence(graph, clean, near)?
            }
        };
        graph.set_layer("adversarial");
        let one = graph.scalar(1.0)?;
        let shape = graph.shape(rows).clone();
        let ones = graph.broadcast(one, &shape)?;
        let gradient = autodiff::vjp(graph, rows, ones, &[changed])?[0];
        graph.mul(gradient, self.scale)
    }

    /// The way along which `slope` gains most within one unit of distance.
    fn direction(&self, graph: &mut Graph, slope: ValueId) -> Built {
        match self.how.norm {
            Norm::Infinity => graph.unary(UnaryFn::Sign, slope),
            Norm::Two => {
                let length = length(graph, slope)?;
                graph.div(slope, length)
            }
        }
    }

    /// `from`, changed by `offset` units and brought back into the radius and the range.
    fn moved(&self, graph: &mut Graph, from: ValueId, offset: ValueId) -> Built {
        let offset = graph.mul(offset, self.scale)?;
        let mut to = graph.add(from, offset)?;
        if self.how.norm == Norm::Two {
            let change = graph.sub(to, self.x)?;
            let units = graph.mul(change, self.inverse)?;
            let length = length(graph, units)?;
            let radius = graph.scalar(self.how.radius)?;
            let factor = graph.div(radius, length)?;
            let one = graph.scalar(1.0)?;
            let factor = graph.minimum(factor, one)?;
            let kept = graph.mul(change, factor)?;
            to = graph.add(self.x, kept)?;
        }
        let above = graph.maximum(to, self.low)?;
        graph.minimum(above, self.high)
    }
}

/// The length of each row, `[B, 1]`.
fn length(graph: &mut Graph, rows: ValueId) -> Built {
    let squares = graph.unary(UnaryFn::Square, rows)?;
    let sum = graph.sum(squares, &[1], true)?;
    let sum = graph.add_scalar(sum, TINY)?;
    graph.unary(UnaryFn::Sqrt, sum)
}
