//! The keys of a table of an experiment file, for people: type, default and a sentence about each.

use serde::Serialize;
use serde_json::Value;

use super::schema::{resolve, schema, tag};
use crate::base::names::nearest;

/// A key of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Key {
    /// Its table, such as `data.split`; empty for the outermost.
    pub table: String,
    /// Where the table has several forms, the one that this key belongs to: `by = "random"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The key.
    pub key: String,
    /// What it holds.
    pub kind: String,
    /// Its default as TOML; `None` if there is none, or it depends on other keys or the data.
    pub default: Option<String>,
    /// Whether it must be given.
    pub required: bool,
    /// A sentence about it.
    pub about: String,
}

/// The keys of a table, which is named as in `--set`; those of the outermost for an empty name.
///
/// # Errors
/// If there is no such table: which there are.
pub fn keys(table: &str) -> Result<Vec<Key>, String> {
    let root = schema();
    let mut at = &root;
    let mut path = String::new();
    for part in table.split('.').filter(|part| !part.is_empty()) {
        let forms = forms(at, &root);
        let next = forms.iter().find_map(|form| form["properties"].get(part));
        let Some(next) = next.filter(|next| !self::forms(next, &root).is_empty()) else {
            let mut known: Vec<String> = forms
                .iter()
                .flat_map(|form| form["properties"].as_object().into_iter().flatten())
                .filter(|(_, of)| !self::forms(of, &root).is_empty())
                .map(|(key, _)| format!("{path}{key}"))
                .collect();
            known.dedup();
            let hint = nearest(&format!("{path}{part}"), known.iter().map(String::as_str));
            let hint = if known.is_empty() { String::new() } else { hint };
            return Err(format!("there is no table `{path}{part}`{hint}"));
        };
        path += &format!("{part}.");
        at = next;
    }
    let table = path.trim_end_matches('.');
    Ok(forms(at, &root).into_iter().flat_map(|form| of_form(table, form, &root)).collect())
}

/// The forms of a table: one, or several that a key chooses between; none if it is no table.
fn forms<'a>(schema: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    let schema = resolve(schema, root);
    if schema.get("properties").is_some() {
        return vec![schema];
    }
    let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    // Of a list of tables, the keys of each.
    let items = schema.get("items").filter(|items| items.is_object());
    list("anyOf").chain(list("oneOf")).chain(items).flat_map(|inner| forms(inner, root)).collect()
}

fn of_form(table: &str, form: &Value, root: &Value) -> Vec<Key> {
    let chosen = tag(form);
    let required: Vec<&str> =
        form["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let describe = |(key, of): (&String, &Value)| {
        let is_tag = chosen.is_some_and(|(tag, _)| tag == key);
        let source = if is_tag { form } else { of };
        let about = [source, resolve(of, root), form].iter().find_map(|s| s["description"].as_str());
        // Of some forms, the comment is no more than the name of the type.
        let about = about.filter(|text| text.contains(' ')).unwrap_or("Chooses this form of the table.");
        Key {
            table: table.into(),
            form: chosen.map(|(tag, name)| format!("{tag} = \"{name}\"")),
            key: key.clone(),
            kind: kind(of, root),
            default: of.get("default").filter(|d| !d.is_null()).map(toml_of),
            required: required.contains(&key.as_str()),
            about: sentence(about),
        }
    };
    form["properties"].as_object().into_iter().flatten().map(describe).collect()
}

/// The first sentence.
fn sentence(text: &str) -> String {
    let end = text.match_indices(". ").map(|(at, _)| at).find(|&at| !text[..at].ends_with("et al"));
    text[..end.map_or(text.len(), |at| at + 1)].to_string()
}

/// What a value of a schema is, in the terms of experiment files.
fn kind(schema: &Value, root: &Value) -> String {
    let of = resolve(schema, root);
    let list = |key: &str| of.get(key).and_then(Value::as_array).into_iter().flatten();
    if let Some(name) = of.get("const") {
        return name.to_string();
    }
    let mut kinds: Vec<String> = list("enum").map(Value::to_string).collect();
    for inner in list("anyOf").chain(list("oneOf")) {
        kinds.push(kind(inner, root));
    }
    let types = match &of["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    let types = if kinds.is_empty() { types } else { vec![] };
    for name in types {
        kinds.extend(match name {
            "integer" => Some("whole number".into()),
            "string" => Some("text".into()),
            "boolean" => Some("true or false".into()),
            "array" => Some(match of.get("items") {
                Some(items) => format!("list of {}", kind(items, root)),
                None => "list".into(),
            }),
            "object" => Some("table".into()),
            "null" => None,
            other => Some(other.to_string()),
        });
    }
    let mut distinct: Vec<String> = vec![];
    for kind in kinds {
        if !kind.is_empty() && !distinct.contains(&kind) {
            distinct.push(kind);
        }
    }
    distinct.join(" | ")
}

/// A default as it would stand in a file.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            // A table of its own says its defaults itself; the name it is chosen by is enough here.
            let named = ["type", "by"].iter().find_map(|tag| map.get(*tag));
            named.map_or_else(|| "{ ... }".into(), Value::to_string)
        }
        Value::Array(list) => format!("[{}]", list.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The names of all tables, outermost first.
pub fn tables() -> Vec<String> {
    let root = schema();
    let mut found = vec![];
    let mut open = vec![(String::new(), &root)];
    while let Some((path, at)) = open.pop() {
        for form in forms(at, &root) {
            for (key, of) in form["properties"].as_object().into_iter().flatten() {
                let name = format!("{path}{key}");
                if !forms(of, &root).is_empty() && !found.contains(&name) {
                    open.push((format!("{name}."), of));
                    found.push(name);
                }
            }
        }
    }
    found.sort();
    found
}
