//! The messages of the TOML reader, in the terms of experiment files: what was found, the form that is allowed
//! with an example, and the nearest known name for an unknown one.

use crate::base::names;

/// What the reader calls a type, and what experiment files call it.
const TERMS: [(&str, &str); 16] = [
    ("usize", "a whole number from 0 up"),
    ("u64", "a whole number from 0 up"),
    ("u32", "a whole number from 0 up"),
    ("i64", "a whole number"),
    ("f64", "a number"),
    ("a boolean", "true or false"),
    ("a string", "a text in quotes"),
    ("string only", "a name in quotes"),
    ("variant identifier", "a name in quotes"),
    ("newtype variant", "a table with the name and its value, such as { constant = \"0\" }"),
    ("exactly 1 element, more than 1 element", "a single name"),
    ("fewer elements in array", "fewer entries"),
    ("a character", "a single character in quotes"),
    ("a map", "a table"),
    ("a sequence", "a list in brackets"),
    ("an array of length 2", "a list of 2 numbers such as [0.9, 0.999]"),
];

/// What was found where a name has a value, or the reader does not say what.
const NAME_ALONE: &str = "only a name";

/// What keys are called elsewhere, where the spelling alone does not tell.
const ALIASES: [(&str, &str); 17] = [
    ("ignore", "exclude"),
    ("drop", "exclude"),
    ("skip", "exclude"),
    ("omit", "exclude"),
    ("ignored_columns", "exclude"),
    ("columns", "features"),
    ("inputs", "features"),
    ("x", "features"),
    ("y", "target"),
    ("output", "target"),
    ("file", "source"),
    ("path", "source"),
    ("sample_weight", "weight"),
    ("dtypes", "types"),
    ("lr", "learning_rate"),
    ("patience", "early_stopping"),
    ("layers", "layer"),
];

/// What is said of the table of settings to try, which experiments had before studies.
const OUTSIDE: &str = "settings to try no longer stand in an experiment; take [tune] out and write a study: a file with \
    name = \"my-study\", experiment = \"this.toml\", trials = 20 and [search] \
    \"train.learning_rate\" = { log = [1e-4, 1e-1] }, for `gridlight tune`";

/// The TOML reader's message, for people.
pub(super) fn explain(message: &str) -> String {
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if let Some((_, rest)) = message.split_once(start) {
            return unknown(what, rest);
        }
    }
    if let Some(key) = message.strip_prefix("missing field `") {
        return format!("the key `{} is missing", key.trim_end());
    }
    if let Some(key) = message.strip_prefix("duplicate field `") {
        return format!("the key `{} is given twice", key.trim_end());
    }
    let mismatch = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let (found, allowed) = match (mismatch, message.strip_prefix("invalid length ")) {
        (Some(rest), _) => match rest.split_once(", expected ") {
            Some((found, allowed)) => (found_value(found), form(allowed, found)),
            None => return message,
        },
        (None, Some(rest)) => match rest.split_once(", expected ") {
            Some((length, allowed)) => (format!("a list of {length}"), form(allowed, "")),
            None => return message,
        },
        _ => {
            let wanted = message.strip_prefix("wanted ").or_else(|| message.strip_prefix("expected "));
            // An example of a form is said as it stands; the reader's own terms are few.
            return wanted.map_or_else(|| message.clone(), |w| format!("expected {}", form(w, "")));
        }
    };
    // The reader says no more of a value where a name belongs.
    if found == NAME_ALONE && allowed == "a name in quotes" {
        return format!("expected {allowed}");
    }
    format!("expected {allowed}; found {found}")
}

/// `rest` is what follows the opening quote of an unknown name: the name, and the known ones in quotes.
fn unknown(what: &str, rest: &str) -> String {
    let mut quoted = rest.split('`');
    let name = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
    if name == "tune" && known.contains(&"model") {
        return OUTSIDE.into();
    }
    let alias = ALIASES.iter().find(|(theirs, ours)| *theirs == name && known.contains(ours));
    let hint = match known.is_empty() {
        true => "; it has no keys of its own".into(),
        false if alias.is_some() => {
            alias.map_or_else(String::new, |(_, ours)| format!("; did you mean `{ours}`?"))
        }
        false => names::nearest(name, known.iter().copied()),
    };
    format!("unknown {what} `{name}`{hint}")
}

/// What was found: the reader's `integer `, `string ` and so on with the value, or `sequence`, `map`.
fn found_value(found: &str) -> String {
    match found {
        "sequence" => return "a list".into(),
        "map" => return "a table".into(),
        "unit value" | "unit variant" | "unit" => return NAME_ALONE.into(),
        _ => {}
    }
    let kinds = ["integer ", "floating point ", "boolean ", "string ", "character "];
    let value = kinds.iter().find_map(|kind| found.strip_prefix(kind)).unwrap_or(found);
    value.trim_end_matches(" as i128").trim_matches('`').to_string()
}

/// The form that is allowed. A single value where a list belongs is shown as a list.
fn form(allowed: &str, found: &str) -> String {
    let term = TERMS.iter().find(|(theirs, _)| *theirs == allowed).map_or(allowed, |(_, ours)| ours);
    if allowed != "a sequence" {
        return term.to_string();
    }
    let value = found_value(found);
    let bare = value.trim_matches('"');
    let example = match value.as_str() {
        "a table" | "a list" | NAME_ALONE | "" => return term.to_string(),
        _ if bare.parse::<f64>().is_ok() => bare,
        _ => &value,
    };
    format!("{term} such as [{example}]")
}
