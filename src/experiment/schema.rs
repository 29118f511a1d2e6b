//! A JSON Schema of experiment files, made from the types that read them and their comments.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Experiment;

/// Tables that may be given as a name alone, and the key that holds it otherwise.
const NAMED: [&str; 3] = ["Loss", "Optimizer", "Schedule"];

/// The schema, in the version that editors of TOML read (draft 7).
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Experiment>().to_value();
    schema["title"] = json!("A Gridlight experiment");
    plain_comments(&mut schema);
    let kinds = names(&schema["definitions"]["ScheduleKind"]);
    for name in NAMED {
        let table = schema["definitions"][name].take();
        let allowed = if name == "Schedule" { kinds.clone() } else { names(&table) };
        let about = table["description"].clone();
        schema["definitions"][name] =
            json!({ "description": about, "anyOf": [{ "type": "string", "enum": allowed }, table] });
    }
    // A step alone stands for the table with the defaults.
    let table = schema["definitions"]["ResampleConfig"].take();
    let about = table["description"].clone();
    schema["definitions"]["ResampleConfig"] =
        json!({ "description": about, "anyOf": [{ "type": "string" }, table] });
    schema
}

/// The definition that a schema refers to, alone or within `allOf`; else the schema itself.
pub(super) fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let inner = schema.get("allOf").and_then(|all| all.get(0)).unwrap_or(schema);
    let name = inner.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/definitions/"));
    name.and_then(|name| root["definitions"].get(name)).unwrap_or(schema)
}

/// The names among the variants of a schema: constants, and the tags of tables.
fn names(schema: &Value) -> Vec<String> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut found: Vec<String> = list("enum")
        .chain(schema.get("const"))
        .filter_map(|name| name.as_str().map(str::to_string))
        .collect();
    for variant in list("oneOf").chain(list("anyOf")) {
        found.extend(names(variant));
        found.extend(tag(variant).map(|(_, name)| name.to_string()));
    }
    found
}

/// The key of a variant that is a table which chooses it, and its name there.
pub(super) fn tag(variant: &Value) -> Option<(&str, &str)> {
    let properties = variant.get("properties")?.as_object()?;
    properties.iter().find_map(|(key, of)| Some((key.as_str(), of.get("const")?.as_str()?)))
}

/// Comments as plain text: lines joined, without the marks of links.
fn plain_comments(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text
                    .lines()
                    .map(str::trim)
                    .collect::<Vec<_>>()
                    .join(" ")
                    .replace("[`", "`")
                    .replace("`]", "`");
            }
            map.values_mut().for_each(plain_comments);
        }
        Value::Array(list) => list.iter_mut().for_each(plain_comments),
        _ => {}
    }
}
