//! The lexical structure of WGSL: enough to find declarations and names, however they are formatted.
//!
//! Shaders are specialised and joined as tokens rather than as naga modules: tokens keep the text that
//! `plan --dump` shows, and need neither naga's WGSL writer nor a copy of every kind of its expressions.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Identifier or keyword.
    Name,
    /// Numeric literal with its suffix.
    Number,
    /// One character of an operator or bracket.
    Symbol,
    /// White space or one comment.
    Space,
}

/// A piece of source text. The texts of all tokens, one after the other, are the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its characters.
    pub text: &'a str,
}

impl Token<'_> {
    /// Whether it is the symbol or name `text`.
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// The tokens of `source`.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = vec![];
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            c if c.is_whitespace() => (Kind::Space, span(rest, char::is_whitespace)),
            '/' if rest.starts_with("//") => (Kind::Space, span(rest, |c| !is_line_break(c))),
            '/' if rest.starts_with("/*") => (Kind::Space, block_comment(rest)),
            c if c.is_alphabetic() || c == '_' => (Kind::Name, span(rest, is_name)),
            c if c.is_ascii_digit() => (Kind::Number, number(rest)),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (Kind::Number, number(rest)),
            c => (Kind::Symbol, c.len_utf8()),
        };
        let (text, after) = rest.split_at(length);
        tokens.push(Token { kind, text });
        rest = after;
    }
    tokens
}

/// Position of the next token from `at` on that is neither white space nor a comment.
pub fn next(tokens: &[Token], at: usize) -> Option<usize> {
    (at..tokens.len()).find(|&i| tokens[i].kind != Kind::Space)
}

/// Position of the bracket that closes the one at `open`: `(`, `[` or `{`.
pub fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether `c` may be part of an identifier.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Bytes at the start of `text` whose characters are all `wanted`.
fn span(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// Bytes of the comment that `text` begins with. Comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Bytes of the literal that `text` begins with: a sign belongs to it after the letter of an exponent.
fn number(text: &str) -> usize {
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let exponent = if hexadecimal { ['p', 'P'] } else { ['e', 'E'] };
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign = matches!(c, '+' | '-') && exponent.contains(&before);
        if !(sign || c == '.' || is_name(c)) {
            return at;
        }
        before = c;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{Kind, closing, next, tokens};

    fn significant(source: &str) -> Vec<(Kind, &str)> {
        let tokens = tokens(source);
        assert_eq!(tokens.iter().map(|t| t.text).collect::<String>(), source);
        tokens.iter().filter(|t| t.kind != Kind::Space).map(|t| (t.kind, t.text)).collect()
    }

    #[test]
    fn comments_nest_and_end_at_any_line_break() {
        let names = "a/* b /* c */ d */e// f\ng// h\u{2028}i//";
        assert_eq!(significant(names).iter().map(|t| t.1).collect::<String>(), "aegi");
        assert_eq!(significant("a /* never closed /* */"), [(Kind::Name, "a")]);
        assert_eq!(significant("a/b"), [(Kind::Name, "a"), (Kind::Symbol, "/"), (Kind::Name, "b")]);
    }

    #[test]
    fn a_number_is_no_name_and_takes_the_sign_of_its_exponent() {
        for number in ["1", "0u", "1.5e-3f", "1e+9", "0x1P-4", "0xe", ".5", "3.", "0xffffffffu"] {
            assert_eq!(significant(number), [(Kind::Number, number)]);
        }
        let expected = [(Kind::Number, "0xe"), (Kind::Symbol, "+"), (Kind::Number, "1")];
        assert_eq!(significant("0xe+1"), expected);
        let expected = [(Kind::Name, "v"), (Kind::Symbol, "."), (Kind::Name, "x")];
        assert_eq!(significant("v.x"), expected);
    }

    #[test]
    fn brackets_close() {
        let text = tokens(" (a[{b}]) c /* ) */ ( ");
        let open = next(&text, 0).unwrap();
        let close = closing(&text, open).unwrap();
        assert_eq!(text[open..=close].iter().map(|t| t.text).collect::<String>(), "(a[{b}])");
        assert_eq!(text[next(&text, close + 1).unwrap()].text, "c");
        assert_eq!(closing(&text, text.len() - 2), None);
    }
}
