//! Byte pairs: texts as tokens of one or more bytes, as in GPT-2 (Sennrich et al. 2016, arXiv:1508.07909; Radford et al.
//! 2019). Every text has an encoding, as each byte by itself is a token.

mod file;
mod fit;
mod words;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use file::{read, write};
pub use fit::fit;
use words::words;

/// Tokens and how texts are cut into them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BytePairs {
    /// The tokens in GPT-2's spelling, which has a printable character for every byte ([`spelling`]).
    pub tokens: Vec<String>,
    /// Numbers of pairs of tokens that become one, those of the first in the list first.
    pub merges: Vec<[u32; 2]>,
    /// Numbers of tokens that stand for themselves wherever a text has them, in their own spelling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<u32>,
    /// Whether a space is put before a text that starts with none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefix_space: bool,
    /// Whether words that are tokens are taken as they are, without merges.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_words: bool,
}

/// The printable character of each byte: itself where it is printable in Latin-1, else those from U+0100 on.
pub fn spelling() -> [char; 256] {
    let mut next = 256;
    std::array::from_fn(|byte| {
        let byte = byte as u32;
        let itself = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if itself {
            byte
        } else {
            next += 1;
            next - 1
        };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
}

impl BytePairs {
    /// The bytes of each token.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        let byte_of: HashMap<char, u8> = spelling().into_iter().zip(0..=255).collect();
        let of = |(number, token): (usize, &String)| match self.special.contains(&(number as u32)) {
            true => token.as_bytes().to_vec(),
            false => token.chars().filter_map(|c| byte_of.get(&c).copied()).collect(),
        };
        self.tokens.iter().enumerate().map(of).collect()
    }

    /// The numbers of a text's tokens.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        Encoder::new(self).encode(text)
    }
}

/// Tables that encode texts.
#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    pairs: &'a BytePairs,
    numbers: HashMap<&'a str, u32>,
    /// Rank and result of each pair.
    merges: HashMap<[u32; 2], (usize, u32)>,
    spelling: [char; 256],
    /// Encodings of words seen before.
    known: HashMap<String, Vec<u32>>,
}

impl<'a> Encoder<'a> {
    /// The tables of these pairs.
    pub fn new(pairs: &'a BytePairs) -> Self {
        let numbers: HashMap<&str, u32> = pairs.tokens.iter().map(String::as_str).zip(0..).collect();
        let token = |number: u32| pairs.tokens.get(number as usize).map_or("", String::as_str);
        let mut merges = HashMap::new();
        for (rank, &[a, b]) in pairs.merges.iter().enumerate() {
            if let Some(&both) = numbers.get(&*[token(a), token(b)].concat()) {
                merges.entry([a, b]).or_insert((rank, both));
            }
        }
        Self { pairs, numbers, merges, spelling: spelling(), known: HashMap::new() }
    }

    /// The numbers of a text's tokens.
    pub fn encode(&mut self, text: &str) -> Vec<u32> {
        let mut found = vec![];
        let mut rest = text;
        while !rest.is_empty() {
            // The first special token, and of those that begin at one place the longest.
            let special = self.pairs.special.iter().filter_map(|&number| {
                let token = self.pairs.tokens.get(number as usize).filter(|token| !token.is_empty())?;
                Some((rest.find(token.as_str())?, std::cmp::Reverse(token.len()), number))
            });
            let Some((start, std::cmp::Reverse(length), number)) = special.min() else { break };
            self.plain(&rest[..start], &mut found);
            found.push(number);
            rest = &rest[start + length..];
        }
        self.plain(rest, &mut found);
        found
    }

    /// Adds the tokens of a text without special ones.
    fn plain(&mut self, text: &str, found: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let spaced;
        let text = match self.pairs.prefix_space && !text.starts_with(char::is_whitespace) {
            true => {
                spaced = format!(" {text}");
                &spaced
            }
            false => text,
        };
        for word in words(text) {
            if let Some(known) = self.known.get(word) {
                found.extend(known);
                continue;
            }
            let tokens = self.word(word);
            found.extend(&tokens);
            self.known.insert(word.into(), tokens);
        }
    }

    fn word(&self, word: &str) -> Vec<u32> {
        let spelled: String = word.bytes().map(|byte| self.spelling[usize::from(byte)]).collect();
        if let (true, Some(&whole)) = (self.pairs.whole_words, self.numbers.get(&*spelled)) {
            return vec![whole];
        }
        let of_byte = |c: char| self.numbers.get(c.encode_utf8(&mut [0; 4]) as &str).copied();
        let mut tokens: Vec<u32> = spelled.chars().filter_map(of_byte).collect();
        loop {
            let ranks = tokens.windows(2).enumerate().filter_map(|(at, pair)| {
                let &(rank, both) = self.merges.get(&[pair[0], pair[1]])?;
                Some((rank, at, both))
            });
            let Some((_, at, both)) = ranks.min() else { return tokens };
            tokens[at] = both;
            tokens.remove(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_spelling_of_gpt2() {
        let spelling = spelling();
        assert_eq!([spelling[usize::from(b' ')], spelling[usize::from(b'\n')]], ['Ġ', 'Ċ']);
        assert_eq!([spelling[usize::from(b'A')], spelling[0xad], spelling[0xff]], ['A', 'Ń', 'ÿ']);
        let mut all = spelling.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 256);
    }

    #[test]
    fn every_text_comes_back() {
        let pairs = fit("the cat and the hat, the mat and the bat\n\n  the end", 270);
        let bytes = pairs.bytes();
        for text in ["the cat", "Ünïcödé 漢字 \u{1f600}", "  two  spaces \n\n", "don't", ""] {
            let back: Vec<u8> = pairs.encode(text).iter().flat_map(|&n| bytes[n as usize].clone()).collect();
            assert_eq!(String::from_utf8(back).unwrap(), text);
        }
        assert!(pairs.encode(" the").len() == 1, "the most frequent word is a token");
    }

    #[test]
    fn pairs_and_encodings_are_those_of_hugging_faces_tokenizers() {
        // ByteLevelBPETokenizer of tokenizers 0.23.3: train_from_iterator([text], vocab_size = 290, min_frequency = 2).
        let text = "She sells sea shells by the sea shore; the shells she sells are sea-shells, I'm sure.\nSo if she \
                    sells sea shells on the sea shore,\n  then I'm sure she sells sea-shore shells: 12 + 12 = 24 é!\n";
        let pairs = fit(text, 290);
        let token = |n: u32| pairs.tokens[n as usize].as_str();
        let merged: Vec<String> = pairs.merges.iter().map(|&[a, b]| [token(a), token(b)].concat()).collect();
        let expected =
            "Ġs he Ġse ll lls Ġshe re Ġsea the Ġthe Ġsells Ġshells ho hore 'm 12 ure ĠI Ġ12 Ġshore Ġsure";
        assert_eq!(merged.join(" "), expected);
        assert_eq!([0, 93, 94, 187, 188, 255].map(token), ["!", "~", "¡", "ÿ", "Ā", "Ń"]);
        assert_eq!(
            pairs.encode("She isn't sure of 12 sea shells, é 漢.  "),
            [
                50, 257, 220, 72, 82, 77, 6, 83, 276, 220, 78, 69, 274, 263, 267, 11, 220, 127, 102, 220,
                162, 120, 95, 13, 220, 220
            ]
        );
    }

    #[test]
    fn special_tokens_stand_for_themselves() {
        let mut pairs = fit("aa aa", 256);
        pairs.tokens.push("<|end|>".into());
        pairs.special.push(256);
        let a = pairs.encode("a")[0];
        assert_eq!(pairs.encode("a<|end|>a"), [a, 256, a]);
        assert_eq!(pairs.bytes()[256], b"<|end|>");
    }
}
