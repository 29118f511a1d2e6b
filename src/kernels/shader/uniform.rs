//! Small read operands as uniform buffers: the same values from another address space. Software drivers check
//! and fetch every lane's element of a storage buffer by itself, which costs as much as twenty multiply-adds;
//! elements of uniform buffers they load directly.
//!
//! Arrays in uniform buffers have elements of 16 bytes, so every operand becomes an array of vectors.

use std::collections::BTreeMap;
use std::ops::Range;

use super::join::{attribute, literal};
use crate::shader::declarations::{Declaration, declarations};
use crate::shader::tokens::{Kind, Token, closing, next, tokens};

/// What a read operand in storage is declared as: element type, and whether it is a vector.
const KINDS: [(&str, &str, bool); 4] = [
    ("array<f32>", "vec4<f32>", false),
    ("array<u32>", "vec4<u32>", false),
    ("array<vec4<f32>>", "vec4<f32>", true),
    ("array<vec4<u32>>", "vec4<u32>", true),
];

/// `own`, with the operand at `binding` of group 1 (of `words` words, a multiple of four) in a uniform buffer;
/// `None` if it is not declared or not used as templates do.
pub(super) fn uniform(own: &str, binding: usize, words: usize) -> Option<String> {
    let tokens = tokens(own);
    let found = declarations(&tokens)?;
    let declaration = found.iter().find(|d| is_read(&tokens, d, binding))?;
    let name = declaration.name?;
    let colon = next(&tokens, name + 1).filter(|&at| tokens[at].is(":"))?;
    let end = declaration.all.end - 1;
    let kind = text(&tokens, colon + 1..end).split_whitespace().collect::<String>();
    let &(_, vector, is_vector) = KINDS.iter().find(|(declared, ..)| *declared == kind)?;
    let mut edits: BTreeMap<usize, String> = BTreeMap::new();
    edits.insert(declaration.space.start, "uniform".into());
    edits.extend(declaration.space.clone().skip(1).map(|at| (at, String::new())));
    edits.insert(colon, format!(": array<{vector}, {}>", words / 4));
    edits.extend((colon + 1..end).map(|at| (at, String::new())));
    if !is_vector {
        for at in (0..tokens.len()).filter(|at| !declaration.all.contains(at)) {
            if tokens[at].kind != Kind::Name || tokens[at].text != tokens[name].text {
                continue;
            }
            let open = next(&tokens, at + 1).filter(|&open| tokens[open].is("["))?;
            let close = closing(&tokens, open)?;
            let index = text(&tokens, open + 1..close);
            // An index that reads the same operand would have to be rewritten inside its own copy.
            if (open + 1..close).any(|i| tokens[i].text == tokens[name].text) {
                return None;
            }
            edits.insert(open, "[(".into());
            edits.insert(close, format!(") / 4u][({index}) % 4u]"));
        }
    }
    let edited = |at: usize| edits.get(&at).map_or(tokens[at].text, String::as_str);
    Some((0..tokens.len()).map(edited).collect())
}

fn text(tokens: &[Token], range: Range<usize>) -> String {
    tokens[range].iter().map(|token| token.text).collect()
}

/// Whether a declaration is the operand at `binding` of group 1.
fn is_read(tokens: &[Token], declaration: &Declaration, binding: usize) -> bool {
    let argument = |name| {
        let range = attribute(tokens, &declaration.attributes, name)?;
        literal(tokens, range).map(|(_, value)| value)
    };
    argument("group") == Some(1) && argument("binding") == Some(binding)
}
