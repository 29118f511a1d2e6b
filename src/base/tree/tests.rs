use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Error, of_json, of_toml_text};

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    #[serde(default)]
    count: u32,
    #[serde(default)]
    rate: Option<f64>,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    pair: [f64; 2],
    #[serde(default)]
    sizes: Vec<usize>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    shape: Option<Shape>,
    #[serde(default)]
    either: Option<Either>,
    #[serde(default)]
    by: BTreeMap<u8, Mode>,
    #[serde(default)]
    inner: Vec<Inner>,
    #[serde(default)]
    mark: Option<char>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Fast,
    Constant(f64),
    Both {
        a: i8,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type", deny_unknown_fields)]
enum Shape {
    Round { radius: f64 },
    Flat {},
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged, expecting = "a number or a list")]
enum Either {
    One(i64),
    Several(Vec<i64>),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table such as { x = 1 }")]
struct Inner {
    x: i64,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Rest {
    #[serde(default)]
    y: Option<String>,
}

const TEXTS: [&str; 54] = [
    "",
    "name = 3",
    "name = \"a\"",
    "name = \"a\"\ncount = 7",
    "name = \"a\"\ncount = -7",
    "name = \"a\"\ncount = 5_000_000_000",
    "name = \"a\"\ncount = 18446744073709551615",
    "name = \"a\"\ncount = 170141183460469231731687303715884105727",
    "name = \"a\"\ncount = 1e3",
    "name = \"a\"\ncount = 0x1F",
    "name = \"a\"\ncount = \"7\"",
    "name = \"a\"\ncount = { x = 1 }",
    "name = \"a\"\nrate = 1",
    "name = \"a\"\nrate = inf",
    "name = \"a\"\nrate = -nan",
    "name = \"a\"\nrate = 1e999",
    "name = \"a\"\nrate = [0.5]",
    "name = \"a\"\nrate = 2020-01-01",
    "name = \"a\"\nrate = true",
    "name = \"a\"\non = true",
    "name = \"a\"\non = 1",
    "name = 2020-01-01",
    "name = \"a\"\npair = [1, 2.5]",
    "name = \"a\"\npair = [1]",
    "name = \"a\"\npair = [1, 2, 3]",
    "name = \"a\"\npair = [1, \"b\"]",
    "name = \"a\"\nsizes = [1, 2, 3]",
    "name = \"a\"\nsizes = [1,\n -2, 3]",
    "name = \"a\"\nsizes = 4",
    "name = \"a\"\nmode = \"fast\"",
    "name = \"a\"\nmode = \"fats\"",
    "name = \"a\"\nmode = \"constant\"",
    "name = \"a\"\nmode = { constant = 1 }",
    "name = \"a\"\nmode = { constant = \"b\" }",
    "name = \"a\"\nmode = { constant = 1, fast = 2 }",
    "name = \"a\"\nmode = {}",
    "name = \"a\"\nmode = { fast = {} }",
    "name = \"a\"\nmode = { fast = 3 }",
    "name = \"a\"\nmode = { both = { a = 300 } }",
    "name = \"a\"\nmode = { slow = 3 }",
    "name = \"a\"\nmode = 3",
    "name = \"a\"\nshape = { type = \"Round\", radius = 1 }",
    "name = \"a\"\nshape = { type = \"Round\" }",
    "name = \"a\"\nshape = { type = \"Square\" }",
    "name = \"a\"\nshape = { radius = 1 }",
    "name = \"a\"\nshape = { type = \"Flat\", radius = 1 }",
    "name = \"a\"\neither = 3",
    "name = \"a\"\neither = [3, 4]",
    "name = \"a\"\neither = \"b\"",
    "name = \"a\"\nby = { 3 = \"fast\", 4 = { constant = 2.0 } }",
    "name = \"a\"\nby = { x = \"fast\" }",
    "name = \"a\"\n[[inner]]\nx = 1\ny = \"b\"\n[[inner]]\nx = \"c\"",
    "name = \"a\"\nmark = \"bc\"",
    "name = \"a\"\nnaem = 3",
];

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    of_toml_text(text)?.read()
}

/// Ends of texts of which the deserializers of formats read a part, or something else.
const STRICTER: [&str; 2] = ["pair = [1, 2, 3]", "mode = { fast = {} }"];
/// Those of texts that are refused in other words.
const IN_OTHER_WORDS: [&str; 2] = ["mode = { fast = 3 }", "mode = 3"];

fn ends_with_one_of(text: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| text.ends_with(end))
}

#[test]
fn what_would_be_read_in_part_or_by_position_is_refused() {
    let refusal = |text: &str| read::<Settings>(text).unwrap_err().message().to_string();
    assert_eq!(refusal("name = \"a\"\npair = [1, 2, 3]"), "invalid length 3, expected a list of 2");
    let alone = "invalid type: map, expected a name in quotes";
    assert_eq!(refusal("name = \"a\"\nmode = { fast = {} }"), alone);
    assert_eq!(refusal("name = \"a\"\nmode = { fast = 3 }"), alone);
    assert_eq!(
        refusal("name = \"a\"\nshape = [\"Round\", 1]"),
        "invalid type: sequence, expected internally tagged enum Shape"
    );
    let names = "expected a name in quotes: fast, constant, both";
    assert_eq!(refusal("name = \"a\"\nmode = 3"), format!("invalid type: integer `3`, {names}"));
    assert_eq!(refusal("name = \"a\"\nmode = 2020-01-01"), format!("invalid type: 2020-01-01, {names}"));
    let twice = of_json("{\"a\": {\"b\": 1, \"b\": 2}}").unwrap_err().to_string();
    assert!(twice.starts_with("the key `b` is given twice"), "{twice}");
}

#[test]
fn toml_is_read_as_by_its_own_deserializer() {
    for text in TEXTS {
        if ends_with_one_of(text, &STRICTER) || ends_with_one_of(text, &IN_OTHER_WORDS) {
            continue;
        }
        let (found, right) = (read::<Settings>(text), toml::from_str::<Settings>(text));
        let shown = |error: &toml::de::Error| (error.message().to_string(), error.span());
        match (&found, &right) {
            (Ok(found), Ok(right)) => assert_eq!(format!("{found:?}"), format!("{right:?}"), "{text}"),
            (Err(found), Err(right)) => {
                // Dates are told as they were written, not as the tables that stand for them.
                let message = found.message().replace("type: 2020-01-01", "type: map");
                assert_eq!((message, found.span()), shown(right), "{text}");
            }
            _ => panic!("{text}: {found:?}, but {right:?}"),
        }
    }
}

#[test]
fn json_is_read_as_by_its_own_deserializer() {
    for text in TEXTS {
        let Ok(settings) = toml::from_str::<toml::Table>(text) else { continue };
        let Ok(json) = serde_json::to_string(&settings) else { continue };
        let right = serde_json::from_str::<Settings>(&json).ok();
        let found = of_json(&json).ok().and_then(|tree| tree.read::<Settings>().ok());
        if !ends_with_one_of(text, &STRICTER) {
            assert_eq!(format!("{found:?}"), format!("{right:?}"), "{json}");
        }
    }
    assert_eq!(of_json("[null, -1, 0.1]").unwrap(), of_json(" [ null,-1,1e-1]").unwrap());
    assert!(of_json("{").is_err());
}

#[test]
fn a_list_is_no_table() {
    let error = read::<Settings>("name = \"a\"\ninner = [[1]]").unwrap_err();
    assert_eq!(error.message(), "invalid type: sequence, expected a table such as { x = 1 }");
    assert_eq!(error.span(), Some(20..23));
}
