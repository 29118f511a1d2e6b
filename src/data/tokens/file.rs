//! `tokenizer.json` files of Hugging Face's `tokenizers`, of those that merge bytes as GPT-2 does.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{BytePairs, spelling};

/// The parts of a file that say how texts become tokens.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: usize,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    vocab: Value,
    #[serde(default)]
    merges: Value,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

/// Reads the text of a `tokenizer.json`.
///
/// # Errors
/// If it is none, or its tokens are made in another way than GPT-2's: what was found.
pub fn read(text: &str) -> Result<BytePairs, String> {
    let file: File = serde_json::from_str(text).map_err(|e| format!("is no tokenizer.json: {e}"))?;
    let only = "supported are byte-level byte pairs, as GPT-2's, alone";
    let kind = file.model.kind.as_deref().unwrap_or("BPE");
    if kind != "BPE" {
        return Err(format!("has a model of type \"{kind}\"; {only}"));
    }
    let prefix_space = before_words(&file.pre_tokenizer).map_err(|found| format!("{found}; {only}"))?;
    if !file.normalizer.is_null() {
        return Err(format!("has a normalizer of type {}; {only}", file.normalizer["type"]));
    }
    let after = &file.post_processor["type"];
    if !file.post_processor.is_null() && after != "ByteLevel" {
        return Err(format!("has a post-processor of type {after}, which adds tokens to texts; {only}"));
    }
    let model = &file.model;
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let unlike = [
        ("dropout", model.dropout.is_some_and(|rate| rate > 0.0)),
        ("continuing_subword_prefix", given(&model.continuing_subword_prefix)),
        ("end_of_word_suffix", given(&model.end_of_word_suffix)),
        ("byte_fallback", model.byte_fallback),
    ];
    if let Some((key, _)) = unlike.iter().find(|(_, given)| *given) {
        return Err(format!("has a model with `{key}`; {only}"));
    }
    let (tokens, special) = tokens(&file)?;
    let numbers: BTreeMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
    if let Some(missing) = spelling().iter().find(|c| !numbers.contains_key(&*c.to_string())) {
        return Err(format!("has no token \"{missing}\", and each of the 256 bytes needs one; {only}"));
    }
    let merges = merges(&model.merges, &numbers)?;
    Ok(BytePairs { merges, special, prefix_space, whole_words: model.ignore_merges, tokens })
}

/// Whether words are GPT-2's with a space put before the first.
fn before_words(of: &Value) -> Result<bool, String> {
    let kind = &of["type"];
    if kind != "ByteLevel" {
        return Err(format!("cuts texts into words by {kind}"));
    }
    if of["use_regex"] == false {
        return Err("does not cut texts into words (use_regex = false)".into());
    }
    Ok(of["add_prefix_space"].as_bool().unwrap_or(true))
}

/// The tokens by number, and which of them stand for themselves.
fn tokens(file: &File) -> Result<(Vec<String>, Vec<u32>), String> {
    let vocab = file.model.vocab.as_object().ok_or("has no `vocab` of tokens and their numbers")?;
    let mut by_number: BTreeMap<usize, &str> = BTreeMap::new();
    for (token, number) in vocab {
        let number = number.as_u64().ok_or_else(|| format!("gives token {token:?} the number {number}"))?;
        if let Some(other) = by_number.insert(number as usize, token) {
            return Err(format!("gives tokens {other:?} and {token:?} the same number {number}"));
        }
    }
    let mut special = vec![];
    for added in &file.added_tokens {
        let flags = [("single_word", added.single_word), ("lstrip", added.lstrip), ("rstrip", added.rstrip)];
        if let Some((flag, _)) = flags.iter().find(|(_, set)| *set) {
            return Err(format!(
                "has an added token {:?} with `{flag}`, which is not supported",
                added.content
            ));
        }
        match by_number.insert(added.id, &added.content) {
            Some(other) if other != added.content => {
                let Added { id, content, .. } = added;
                return Err(format!("gives tokens {other:?} and {content:?} the same number {id}"));
            }
            _ => special.push(added.id as u32),
        }
    }
    if let Some((expected, (number, _))) = by_number.iter().enumerate().find(|(at, (n, _))| at != *n) {
        return Err(format!("has a token of number {number}, and none of number {expected}"));
    }
    special.sort_unstable();
    special.dedup();
    Ok((by_number.into_values().map(String::from).collect(), special))
}

fn merges(of: &Value, numbers: &BTreeMap<&str, u32>) -> Result<Vec<[u32; 2]>, String> {
    let list = of.as_array().ok_or("has no list of `merges`")?;
    let parse = |(at, merge): (usize, &Value)| {
        let wrong = || format!("merge {} is {merge}, and not two tokens that make a third", at + 1);
        let pair = match merge {
            Value::String(text) => text.split_once(' '),
            Value::Array(pair) => match &pair[..] {
                [a, b] => a.as_str().zip(b.as_str()),
                _ => None,
            },
            _ => None,
        };
        let (a, b) = pair.ok_or_else(wrong)?;
        let number = |token: &str| numbers.get(token).copied().ok_or_else(wrong);
        number(&[a, b].concat())?;
        Ok([number(a)?, number(b)?])
    };
    list.iter().enumerate().map(parse).collect()
}

/// The text of a `tokenizer.json` that [`read`] and Hugging Face's `tokenizers` read.
pub fn write(pairs: &BytePairs) -> String {
    let token = |number: &u32| pairs.tokens.get(*number as usize).map_or("", String::as_str);
    let added: Vec<Value> = pairs
        .special
        .iter()
        .map(|number| {
            json!({
                "id": number, "content": token(number), "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        })
        .collect();
    let of_model = |number: &usize| !pairs.special.contains(&(*number as u32));
    let vocab: serde_json::Map<String, Value> =
        (0..pairs.tokens.len()).filter(of_model).map(|n| (pairs.tokens[n].clone(), n.into())).collect();
    let merges: Vec<[&str; 2]> = pairs.merges.iter().map(|[a, b]| [token(a), token(b)]).collect();
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": pairs.prefix_space, "trim_offsets": true, "use_regex": true,
    });
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": pairs.whole_words, "vocab": vocab, "merges": merges,
        },
    });
    file.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::fit;
    use super::*;

    fn pairs() -> BytePairs {
        fit("the cat and the hat and the mat", 262)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut pairs = pairs();
        assert_eq!(read(&write(&pairs)).unwrap(), pairs);
        pairs.special.push(pairs.tokens.len() as u32);
        pairs.tokens.push("<|endoftext|>".into());
        pairs.prefix_space = true;
        assert_eq!(read(&write(&pairs)).unwrap(), pairs);
        // Older files have merges as texts.
        let mut file: Value = serde_json::from_str(&write(&pairs)).unwrap();
        for merge in file["model"]["merges"].as_array_mut().unwrap() {
            *merge = format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()).into();
        }
        assert_eq!(read(&file.to_string()).unwrap(), pairs);
    }

    #[test]
    fn other_tokenizers_are_refused_by_name() {
        let file: Value = serde_json::from_str(&write(&pairs())).unwrap();
        let with = |path: &str, value: Value| {
            let mut file = file.clone();
            *file.pointer_mut(path).unwrap() = value;
            read(&file.to_string()).unwrap_err()
        };
        for (path, value, part) in [
            ("/model/type", json!("WordPiece"), "WordPiece"),
            ("/pre_tokenizer", json!({"type": "Whitespace"}), "Whitespace"),
            ("/pre_tokenizer", Value::Null, "null"),
            ("/pre_tokenizer/use_regex", json!(false), "use_regex"),
            ("/normalizer", json!({"type": "NFC"}), "NFC"),
            ("/post_processor", json!({"type": "TemplateProcessing"}), "TemplateProcessing"),
            ("/model/end_of_word_suffix", json!("</w>"), "end_of_word_suffix"),
            ("/model/byte_fallback", json!(true), "byte_fallback"),
            ("/model/merges/0", json!("no such"), "merge 1"),
            ("/model/merges/0", json!(3), "merge 1"),
            ("/model/vocab/Ġ", json!(999), "none of number"),
            ("/model/vocab/Ġ", json!(0), "same number 0"),
            ("/model/vocab", json!({"a": 0}), "256 bytes"),
        ] {
            let message = with(path, value);
            assert!(message.contains(part), "{path}: {message}");
        }
        assert!(read("{}").unwrap_err().contains("no tokenizer.json"));
        assert!(read("nonsense").is_err());
    }
}
