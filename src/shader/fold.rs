//! Branches that are chosen when a shader is written, not when it runs.

use std::collections::BTreeMap;

use super::tokens::{Token, closing, next, tokens};

/// `source` with each `if` statement whose condition is a flag, or `!` and a flag, replaced by the block that
/// is chosen.
pub(super) fn fold(source: &str, flags: &BTreeMap<String, bool>) -> String {
    let tokens = tokens(source);
    let mut out = String::new();
    folded(&tokens, flags, &mut out);
    out
}

fn folded(tokens: &[Token], flags: &BTreeMap<String, bool>, out: &mut String) {
    let mut at = 0;
    while at < tokens.len() {
        let Some(branch) = Branch::at(tokens, at, flags) else {
            *out += tokens[at].text;
            at += 1;
            continue;
        };
        match branch.chosen {
            Some((start, end)) => folded(&tokens[start..end], flags, out),
            None if out.trim_end().ends_with("else") => *out += "{}",
            None => {}
        }
        at = branch.end;
    }
}

/// An `if` statement on a flag.
struct Branch {
    /// The tokens of the block or `if` statement that is chosen.
    chosen: Option<(usize, usize)>,
    /// Behind the statement.
    end: usize,
}

impl Branch {
    fn at(tokens: &[Token], at: usize, flags: &BTreeMap<String, bool>) -> Option<Self> {
        let after = |at: usize| next(tokens, at + 1);
        let expect = |at: usize, text: &str| tokens[at].is(text).then_some(at);
        let open = after(expect(at, "if")?).and_then(|at| expect(at, "("))?;
        let first = after(open)?;
        let negated = tokens[first].is("!");
        let name = if negated { after(first)? } else { first };
        let on = flags.get(tokens[name].text)? != &negated;
        let block = after(name).and_then(|at| expect(at, ")")).and_then(after)?;
        let block_end = closing(tokens, block)? + 1;
        let otherwise = next(tokens, block_end).filter(|&at| tokens[at].is("else"));
        let (other, end) = match otherwise {
            Some(at) => {
                let start = after(at)?;
                let end = statement_end(tokens, start)?;
                (Some((start, end)), end)
            }
            None => (None, block_end),
        };
        Some(Self { chosen: if on { Some((block, block_end)) } else { other }, end })
    }
}

/// Behind the block, or the `if` statement with all its branches, that begins at `at`.
fn statement_end(tokens: &[Token], mut at: usize) -> Option<usize> {
    loop {
        if tokens[at].is("if") {
            at = next(tokens, closing(tokens, next(tokens, at + 1)?)? + 1)?;
        }
        let end = closing(tokens, at)? + 1;
        match next(tokens, end).filter(|&at| tokens[at].is("else")) {
            Some(otherwise) => at = next(tokens, otherwise + 1)?,
            None => return Some(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fold;
    use std::collections::BTreeMap;

    #[test]
    fn the_chosen_block_is_left() {
        let flags = BTreeMap::from([("ON".to_string(), true), ("OFF".to_string(), false)]);
        for (source, expected) in [
            ("a; if (ON) { b; } c;", "a; { b; } c;"),
            ("a; if (OFF) { b; } c;", "a;  c;"),
            ("if/**/(\n! ON ){ b; }else{ c; } d;", "{ c; } d;"),
            ("if (OFF) { a; } else if (ON) { b; } else { c; } d;", "{ b; } d;"),
            ("if (OFF) { a; } else if (x) { b; } else { c; } d;", "if (x) { b; } else { c; } d;"),
            ("if (x) { a; } else if (OFF) { b; }", "if (x) { a; } else {}"),
            ("if (ON) { if (OFF) { a; } else { b; } }", "{ { b; } }"),
            ("if (ON && x) { a; }", "if (ON && x) { a; }"),
            ("if (OTHER) { a; } // if (ON) {", "if (OTHER) { a; } // if (ON) {"),
        ] {
            assert_eq!(fold(source, &flags), expected, "{source}");
        }
    }
}
