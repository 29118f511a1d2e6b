//! The declarations of a WGSL module.

use super::tokens::{Kind, Token, closing, next};
use std::ops::Range;

/// `@name(arguments)`, by positions of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Of its name.
    pub name: usize,
    /// Between its parentheses; empty if it has none.
    pub arguments: Range<usize>,
}

/// One declaration at module level, by positions of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// What stands before it.
    pub attributes: Vec<Attribute>,
    /// `fn`, `const`, `var`, ...
    pub keyword: usize,
    /// Between `<` and `>` after `var`; empty if there is none.
    pub space: Range<usize>,
    /// Of its name, if it has one (`const_assert` and `enable` have none).
    pub name: Option<usize>,
    /// All of it, its attributes included.
    pub all: Range<usize>,
}

/// The declarations of a module, in order; `None` if brackets do not match or one does not end.
pub fn declarations(tokens: &[Token]) -> Option<Vec<Declaration>> {
    let mut found = vec![];
    let mut at = 0;
    while let Some(start) = next(tokens, at) {
        let (attributes, keyword) = attributes(tokens, start)?;
        if tokens[keyword].is(";") {
            at = keyword + 1;
            continue;
        }
        let mut after = next(tokens, keyword + 1)?;
        let mut space = after..after;
        if tokens[keyword].is("var") && tokens[after].is("<") {
            let end = (after..tokens.len()).find(|&i| tokens[i].is(">"))?;
            space = after + 1..end;
            after = next(tokens, end + 1)?;
        }
        let named = ["fn", "const", "override", "alias", "struct", "var"].contains(&tokens[keyword].text);
        let name = (named && tokens[after].kind == Kind::Name).then_some(after);
        let braced = ["fn", "struct"].contains(&tokens[keyword].text);
        let end = end(tokens, after, braced)?;
        found.push(Declaration { attributes, keyword, space, name, all: start..end });
        at = end;
    }
    Some(found)
}

/// The attributes from `at` on, and the position of what follows them.
pub fn attributes(tokens: &[Token], mut at: usize) -> Option<(Vec<Attribute>, usize)> {
    let mut found = vec![];
    while tokens[at].is("@") {
        let name = next(tokens, at + 1)?;
        at = next(tokens, name + 1)?;
        let mut arguments = at..at;
        if tokens[at].is("(") {
            let close = closing(tokens, at)?;
            arguments = at + 1..close;
            at = next(tokens, close + 1)?;
        }
        found.push(Attribute { name, arguments });
    }
    Some((found, at))
}

/// Behind the end of a declaration: its closing brace if it is `braced`, else its semicolon.
fn end(tokens: &[Token], mut at: usize, braced: bool) -> Option<usize> {
    loop {
        match tokens.get(at)?.text {
            "{" if braced => return Some(closing(tokens, at)? + 1),
            ";" => return Some(at + 1),
            "(" | "[" | "{" => at = closing(tokens, at)?,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::declarations;
    use crate::shader::tokens::tokens;

    #[test]
    fn formatting_does_not_matter() {
        let source = "enable f16;; struct S{a:u32,}const/* const x = 1; */N:u32=1u;\n\
                      @group(0)@binding(1)\n// var\n\
                      var<storage,\nread>data:array<u32>;var<private>p:u32;alias T=S;const_assert N>0u;\
                      @compute/**/@workgroup_size(N)fn\nmain(){var v=1;}fn other(a:u32)->u32{return a;}";
        let text = tokens(source);
        let found = declarations(&text).unwrap();
        let names: Vec<Option<&str>> = found.iter().map(|d| d.name.map(|name| text[name].text)).collect();
        let [s, n, data, p, t] = ["S", "N", "data", "p", "T"].map(Some);
        assert_eq!(names, [None, s, n, data, p, t, None, Some("main"), Some("other")]);
        let attributes: Vec<&str> =
            found.iter().flat_map(|d| &d.attributes).map(|a| text[a.name].text).collect();
        assert_eq!(attributes, ["group", "binding", "compute", "workgroup_size"]);
        assert_eq!(text[found[3].space.clone()].iter().map(|t| t.text).collect::<String>(), "storage,\nread");
    }

    #[test]
    fn what_does_not_end_is_no_module() {
        for source in ["fn main() {", "const N = 1", "@compute", "var<storage data: u32;", "fn f() } {"] {
            assert_eq!(declarations(&tokens(source)), None, "{source}");
        }
    }
}
