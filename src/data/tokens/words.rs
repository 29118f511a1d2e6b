//! The words within which bytes are merged: GPT-2's pattern
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

const ENDINGS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Other,
}

fn kind(c: char) -> Kind {
    match c {
        'a'..='z' | 'A'..='Z' => Kind::Letter,
        _ if c.is_whitespace() => Kind::Space,
        _ => match c.general_category_group() {
            GeneralCategoryGroup::Letter => Kind::Letter,
            GeneralCategoryGroup::Number => Kind::Number,
            _ => Kind::Other,
        },
    }
}

/// The words of a text, one after the other, with the space before each.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let length = (!rest.is_empty()).then(|| length(rest))?;
        let (word, others) = rest.split_at(length);
        rest = others;
        Some(word)
    })
}

/// Bytes of the first word of a text that is not empty.
fn length(text: &str) -> usize {
    if let Some(ending) = ENDINGS.iter().find(|ending| text.starts_with(**ending)) {
        return ending.len();
    }
    let mut characters = text.chars();
    let first = characters.next().unwrap_or_default();
    let start = if first == ' ' { characters.next() } else { Some(first) };
    if let Some(start) = start.filter(|&c| kind(c) != Kind::Space) {
        let before = usize::from(first == ' ');
        let wanted = kind(start);
        return before + text[before..].find(|c| kind(c) != wanted).unwrap_or(text.len() - before);
    }
    // Spaces, of which the last belongs to a word that follows.
    match text.find(|c: char| !c.is_whitespace()) {
        None => text.len(),
        Some(end) => {
            let last = text[..end].chars().next_back().map_or(0, char::len_utf8);
            if end > last { end - last } else { end }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_pattern() {
        for (text, expected) in [
            ("Hello world", vec!["Hello", " world"]),
            ("don't we'll x'S", vec!["don", "'t", " we", "'ll", " x", "'", "S"]),
            ("a  b", vec!["a", " ", " b"]),
            ("a\nb", vec!["a", "\n", "b"]),
            ("a\n b", vec!["a", "\n", " b"]),
            ("a \n", vec!["a", " \n"]),
            ("x2y, 3.5!?", vec!["x", "2", "y", ",", " 3", ".", "5", "!?"]),
            ("\u{a0}é½", vec!["\u{a0}", "é", "½"]),
            (" ", vec![" "]),
        ] {
            assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
