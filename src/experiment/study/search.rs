//! The `[search]` table: which keys are searched, and what each may be.

use toml::{Table, Value};

use crate::base::names::nearest;
use crate::search::{Condition, Domain, Parameter};

/// Choices of a key at most.
const MOST_CHOICES: usize = 1000;
/// What a key of `[search]` may hold.
const FORMS: &str = "one of { log = [1e-4, 1e-1] }, { uniform = [0.0, 0.5] }, { integer = [1, 8] } and \
                     { choice = [32, 64] }";
/// The keys of such a table.
const KEYS: [&str; 6] = ["uniform", "log", "integer", "choice", "step", "when"];

/// A key that is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Searched {
    /// The key, such as `train.learning_rate`.
    pub key: String,
    /// What may be chosen; empty for numbers.
    pub choices: Vec<Value>,
    /// Whether numbers are whole.
    pub integer: bool,
    /// What stands in the file.
    pub written: String,
}

impl Searched {
    /// The value of the key that stands for a number of its domain.
    pub fn value(&self, number: f64) -> Value {
        match self.choices.get(number as usize) {
            Some(value) => value.clone(),
            None if self.integer => Value::Integer(number as i64),
            None => Value::Float(number),
        }
    }
}

/// What is wrong, and with which key.
pub(super) type Problem = (String, String);

/// Reads the searched keys, `entries` in the order of the file: those that a condition names come before the ones that
/// have it.
pub(super) fn read(entries: &[(String, Value)]) -> Result<(Vec<Searched>, Vec<Parameter>), Problem> {
    let mut waiting: Vec<(Searched, Domain, Table)> = vec![];
    for (key, value) in entries {
        let (searched, domain, when) = entry(key, value).map_err(|reason| (key.clone(), reason))?;
        waiting.push((searched, domain, when));
    }
    let (mut keys, mut space): (Vec<Searched>, Vec<Parameter>) = (vec![], vec![]);
    while !waiting.is_empty() {
        let known = |when: &Table| when.keys().all(|name| keys.iter().any(|k| k.key == *name));
        let Some(at) = waiting.iter().position(|(.., when)| known(when)) else {
            return Err(stuck(&waiting, &keys));
        };
        let (searched, domain, when) = waiting.remove(at);
        let conditions: Result<Vec<Condition>, String> =
            when.iter().map(|(name, value)| condition(&keys, name, value)).collect();
        let when = conditions.map_err(|reason| (searched.key.clone(), reason))?;
        keys.push(searched);
        space.push(Parameter { domain, when });
    }
    Ok((keys, space))
}

/// Why no key is left whose conditions are known.
fn stuck(waiting: &[(Searched, Domain, Table)], keys: &[Searched]) -> Problem {
    let all: Vec<&str> = keys.iter().chain(waiting.iter().map(|w| &w.0)).map(|k| k.key.as_str()).collect();
    for (searched, _, when) in waiting {
        if let Some(name) = when.keys().find(|name| !all.contains(&name.as_str())) {
            let hint = nearest(name, all.iter().copied().filter(|key| *key != searched.key));
            return (searched.key.clone(), format!("has `when` with `{name}`, which is not searched{hint}"));
        }
    }
    let key = waiting.first().map(|w| w.0.key.clone()).unwrap_or_default();
    (key, "has a condition that leads back to itself; take one of the `when` out".into())
}

fn condition(keys: &[Searched], name: &str, value: &Value) -> Result<Condition, String> {
    let parent = keys.iter().position(|k| k.key == name).unwrap_or(0);
    let choices = &keys[parent].choices;
    if choices.is_empty() {
        return Err(format!(
            "has `when` with `{name}`, which is searched as a number; only a choice can be named"
        ));
    }
    let find = |value: &Value| choices.iter().position(|choice| choice == value);
    let wanted = match value {
        // A list of values, unless the whole list is a choice.
        Value::Array(list) if find(value).is_none() => &list[..],
        single => std::slice::from_ref(single),
    };
    let mut allowed = vec![];
    for value in wanted {
        let known: Vec<String> = choices.iter().map(Value::to_string).collect();
        let at = find(value);
        allowed.push(at.ok_or_else(|| {
            format!(
                "has `when` with `{name}` = {value}, which is no choice of it; there are {}",
                known.join(", ")
            )
        })?);
    }
    if allowed.is_empty() {
        return Err(format!("has `when` with `{name}` = [], which never holds; name a choice"));
    }
    Ok(Condition { parent, allowed })
}

/// A key with its domain and its conditions.
fn entry(key: &str, value: &Value) -> Result<(Searched, Domain, Table), String> {
    let Some(table) = value.as_table() else {
        return Err(format!("= {value} must be {FORMS}"));
    };
    if let Some(unknown) = table.keys().find(|name| !KEYS.contains(&name.as_str())) {
        // Written without quotes, a key with dots is a table in a table.
        return Err(match table.values().all(Value::is_table) {
            true => format!("is a table; write the whole key in quotes: \"{key}.{unknown}\" = {{ ... }}"),
            false => format!("has `{unknown}`, an unknown key{}", nearest(unknown, KEYS.into_iter())),
        });
    }
    let when = match table.get("when") {
        None => Table::new(),
        Some(Value::Table(when)) => when.clone(),
        Some(other) => return Err(format!("has when = {other}; write when = {{ \"other.key\" = value }}")),
    };
    let (is_log, step) = (table.get("log"), table.get("step"));
    let forms = ["uniform", "integer", "choice"].into_iter().filter(|form| table.contains_key(*form));
    let forms: Vec<&str> = forms.chain(is_log.filter(|log| log.is_array()).map(|_| "log")).collect();
    let [form] = forms[..] else {
        return Err(format!("must be exactly {FORMS}"));
    };
    if let Some(log) = is_log.filter(|log| !log.is_array() && (form != "integer" || !log.is_bool())) {
        return Err(format!("has log = {log}; write {{ log = [low, high] }}, or log = true beside integer"));
    }
    let of_numbers = match form {
        "choice" => false,
        "log" => step.is_none(),
        "integer" => step.is_none() || is_log.is_none_or(|log| log.as_bool() == Some(false)),
        _ => true,
    };
    if step.is_some() && !of_numbers || form == "log" && step.is_some() {
        return Err("has `step`, which is for uniform and integer without log".into());
    }
    let mut searched =
        Searched { key: key.into(), choices: vec![], integer: form == "integer", written: value.to_string() };
    if form == "choice" {
        searched.choices = choices(&table["choice"])?;
        let count = searched.choices.len();
        return Ok((searched, Domain::Choice { count }, when));
    }
    let log = form == "log" || is_log.and_then(Value::as_bool).unwrap_or(false);
    Ok((searched, number(form, &table[form], step, log)?, when))
}

fn choices(value: &Value) -> Result<Vec<Value>, String> {
    let list =
        value.as_array().ok_or_else(|| format!("has choice = {value}; write a list such as [32, 64]"))?;
    if list.is_empty() || list.len() > MOST_CHOICES {
        return Err(format!("has {} choices; give 1 to {MOST_CHOICES}", list.len()));
    }
    let twice = list.iter().enumerate().find(|(at, value)| list[..*at].contains(value));
    match twice {
        Some((_, value)) => Err(format!("has the choice {value} twice")),
        None => Ok(list.clone()),
    }
}

fn number(form: &str, ends: &Value, step: Option<&Value>, log: bool) -> Result<Domain, String> {
    let of = |value: &Value| match value {
        Value::Integer(whole) if whole.unsigned_abs() <= 1 << 53 => Some(*whole as f64),
        Value::Float(number) if form != "integer" && number.is_finite() => Some(*number),
        _ => None,
    };
    let kind = if form == "integer" { "whole numbers" } else { "finite numbers" };
    let wrong = || format!("has {form} = {ends}; write a list of two {kind}, the lower one first");
    let list = ends.as_array().ok_or_else(wrong)?;
    let numbers: Option<Vec<f64>> = list.iter().map(of).collect();
    let Some([low, high]) = numbers.as_deref().and_then(|n| n.first_chunk::<2>()).filter(|_| list.len() == 2)
    else {
        return Err(wrong());
    };
    let (low, high) = (*low, *high);
    if low >= high {
        return Err(format!("has {form} = {ends}, an empty range: {low} is not below {high}"));
    }
    if log && low <= 0.0 {
        return Err(format!("has the low end {low}, which has no logarithm; it must be above 0"));
    }
    let step = match step {
        None => (form == "integer").then_some(1.0),
        Some(value) => match of(value).filter(|step| *step > 0.0 && *step <= high - low) {
            Some(step) => Some(step),
            None => return Err(format!("has step = {value}; it must be above 0 and at most {}", high - low)),
        },
    };
    Ok(Domain::Number { low, high, log, step })
}
