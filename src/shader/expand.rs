//! The template language. A template is valid WGSL as written, and all of it is seen by an editor: what
//! depends on a flag is an `if` statement on a constant, or ends with a comment that says so.
//!
//! | directive | meaning |
//! |---|---|
//! | `//@import name, other` | the text of `shaders/shared/name.wgsl`, and of the other file |
//! | `//@include name` | the lines of the same file, here, with their directives |
//! | `//@include name or other if FLAG` | the other one's if the flag is set; without `or`, none if not |
//! | `const N: u32 = 1u; //@param` | the value is replaced |
//! | `LINE //@insert name` | the line is replaced by generated text |
//! | `LINE //@if FLAG`, `LINE //@if not FLAG` | the line is dropped where it does not hold |
//! | `LINE //@for i in COUNT, j in COUNT` | repeated for each `i`, `j`: `_i` in names becomes `_0`, `_1` |
//! | `LINE //@for i in COUNT if FLAG` | both |
//! | `//@for i in COUNT, j in COUNT` ... `//@end` | the lines between are repeated |
//! | `const i: u32 = 0u; //@index` | the index of `//@for` as written; the line is dropped |
//!
//! An `if` statement whose condition is `FLAG` or `!FLAG`, a constant of type `bool` that is a parameter,
//! becomes the block that is chosen: what the other one needs, the device may not have.

use std::collections::BTreeMap;

use super::tokens::{Kind, tokens};
use super::{fold, library};

/// A template that cannot be expanded: a bug in a shader file or its caller.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error("shaders/{file}.wgsl:{line}: {reason}")]
pub struct TemplateError {
    /// File name without ending.
    pub file: String,
    /// Line.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// An expanded template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    /// Files of `shaders/shared/` that it needs.
    pub imports: Vec<String>,
    /// Its own declarations.
    pub own: String,
}

impl Text {
    /// The whole module.
    ///
    /// # Errors
    /// If an import does not exist.
    pub fn source(&self) -> Result<String, TemplateError> {
        let mut source = String::new();
        for name in &self.imports {
            let file = format!("shared/{name}");
            let reason = "there is no such file to import".to_string();
            let text = library::find(&file).ok_or(TemplateError { file, line: 0, reason })?;
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                source += line;
                source.push('\n');
            }
        }
        Ok(source + &self.own)
    }
}

/// A template and the values for its directives.
#[derive(Clone, Debug, Default)]
pub struct Template {
    name: String,
    values: BTreeMap<String, String>,
    counts: BTreeMap<String, usize>,
    flags: BTreeMap<String, bool>,
    inserts: BTreeMap<String, String>,
}

impl Template {
    /// `shaders/<name>.wgsl`.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets a `u32` parameter, which also counts `//@for` loops.
    pub fn set(mut self, name: &str, value: usize) -> Self {
        self.values.insert(name.into(), format!("{value}u"));
        self.counts.insert(name.into(), value);
        self
    }

    /// Sets an `i32` parameter.
    pub fn set_i32(mut self, name: &str, value: isize) -> Self {
        self.values.insert(name.into(), format!("{value}i"));
        self
    }

    /// Sets an `f32` parameter by its bits.
    pub fn set_f32(mut self, name: &str, bits: u32) -> Self {
        self.values.insert(name.into(), super::body::literal(bits));
        self
    }

    /// Sets a `bool` parameter, which chooses between lines and blocks.
    pub fn flag(mut self, name: &str, on: bool) -> Self {
        self.values.insert(name.into(), on.to_string());
        self.flags.insert(name.into(), on);
        self
    }

    /// Sets generated text.
    pub fn insert(mut self, name: &str, text: impl Into<String>) -> Self {
        self.inserts.insert(name.into(), text.into());
        self
    }

    /// The expanded text.
    ///
    /// # Errors
    /// If a directive is malformed or names what is not set.
    pub fn expand(&self) -> Result<Text, TemplateError> {
        let mut out = Text::default();
        self.file(&self.name, &mut out)
            .map_err(|missing| missing.unwrap_or_else(|| self.no_file(&self.name)))?;
        out.own = fold::fold(&out.own, &self.flags);
        Ok(out)
    }

    /// Appends the expanded file called `name`; the error is `None` if there is no such file.
    fn file(&self, name: &str, out: &mut Text) -> Result<(), Option<TemplateError>> {
        let text = library::find(name).ok_or(None)?;
        let lines: Vec<Line> =
            text.lines().enumerate().map(|(i, text)| Line { number: i + 1, text: text.into() }).collect();
        self.block(name, &lines, out).map_err(Some)
    }

    fn no_file(&self, name: &str) -> TemplateError {
        TemplateError { file: name.into(), line: 0, reason: "there is no such file".into() }
    }

    fn block(&self, file: &str, lines: &[Line], out: &mut Text) -> Result<(), TemplateError> {
        let mut at = 0;
        while let Some(Line { number, text: line }) = lines.get(at) {
            let error = |reason: String| TemplateError { file: file.into(), line: *number, reason };
            let (code, directive) =
                line.split_once("//@").map_or((line.as_str(), None), |(c, d)| (c, Some(d)));
            let whole = code.trim().is_empty();
            let (word, rest) =
                directive.map_or(("", ""), |d| d.trim().split_once(' ').unwrap_or((d.trim(), "")));
            match (word, whole) {
                ("", _) if directive.is_none() => {
                    if !line.trim_start().starts_with("//") {
                        out.own += line;
                        out.own.push('\n');
                    }
                }
                ("import", true) => out.imports.extend(rest.split(", ").map(|name| name.trim().to_string())),
                ("include", true) => {
                    if let Some(name) = self.included(rest).map_err(error)? {
                        let included = format!("shared/{name}");
                        self.file(&included, out)
                            .map_err(|e| e.unwrap_or_else(|| self.no_file(&included)))?;
                    }
                }
                ("for", _) => {
                    let end = if whole { end_of(lines, at) } else { Some(at) };
                    let end = end.ok_or_else(|| error("no //@end".into()))?;
                    let own = [Line { number: *number, text: code.trim_end().into() }];
                    let body = if whole { &lines[at + 1..end] } else { &own };
                    self.block(file, &self.repeated(rest, body).map_err(error)?, out)?;
                    at = end;
                }
                ("if", false) => {
                    if self.holds(rest).map_err(error)? {
                        out.own += code.trim_end();
                        out.own.push('\n');
                    }
                }
                ("insert", false) => {
                    let text = self.inserts.get(rest.trim());
                    out.own += text.ok_or_else(|| error(format!("`{rest}` is not set")))?;
                    out.own.push('\n');
                }
                ("param", false) => out.own += &self.parameter(code).map_err(error)?,
                ("index", false) => {}
                _ => return Err(error(format!("`//@{word}` is no directive, or does not stand there"))),
            }
            at += 1;
        }
        Ok(())
    }

    /// The file that `one`, `one if FLAG` or `one or other if FLAG` includes.
    fn included<'a>(&self, rest: &'a str) -> Result<Option<&'a str>, String> {
        let Some((files, condition)) = rest.split_once(" if ") else { return Ok(Some(rest.trim())) };
        let holds = self.holds(condition)?;
        Ok(match files.split_once(" or ") {
            Some((one, other)) => Some(if holds { other.trim() } else { one.trim() }),
            None => holds.then_some(files.trim()),
        })
    }

    /// `body` for every value of the indices of `i in COUNT, j in COUNT if FLAG`.
    fn repeated(&self, rest: &str, body: &[Line]) -> Result<Vec<Line>, String> {
        let (indices, condition) = rest.split_once(" if ").map_or((rest, None), |(i, c)| (i, Some(c)));
        if let Some(condition) = condition
            && !self.holds(condition)?
        {
            return Ok(vec![]);
        }
        let mut lines = body.to_vec();
        // The last index runs fastest.
        for index in indices.rsplit(',') {
            let (variable, count) = index.split_once(" in ").ok_or("expected `i in COUNT`")?;
            let (variable, count) = (variable.trim(), count.trim());
            let known = count.parse().ok().or_else(|| self.counts.get(count).copied());
            let count = known.ok_or_else(|| format!("`{count}` is not set"))?;
            let with = |i| {
                move |line: &Line| Line { text: replace_index(&line.text, variable, i), number: line.number }
            };
            lines = (0..count).flat_map(|i| lines.iter().map(with(i))).collect();
        }
        Ok(lines)
    }

    /// Whether `FLAG` or `not FLAG` holds.
    fn holds(&self, condition: &str) -> Result<bool, String> {
        let condition = condition.trim();
        let (name, wanted) =
            condition.strip_prefix("not ").map_or((condition, true), |name| (name.trim(), false));
        let flag = self.flags.get(name).ok_or_else(|| format!("`{name}` is not set"))?;
        Ok(*flag == wanted)
    }

    /// The declaration of a parameter with its value.
    fn parameter(&self, code: &str) -> Result<String, String> {
        let (left, _) = code.split_once('=').ok_or("expected `=`")?;
        let name = left.trim().trim_start_matches("const ").split(':').next().unwrap_or_default().trim();
        let value = self.values.get(name).ok_or_else(|| format!("`{name}` is not set"))?;
        Ok(format!("{left}= {value};\n"))
    }
}

/// A line of a template.
#[derive(Clone, Debug)]
struct Line {
    /// In its file, from 1.
    number: usize,
    text: String,
}

/// Position of the `//@end` that closes the block which begins at `start`.
fn end_of(lines: &[Line], start: usize) -> Option<usize> {
    let mut depth = 0;
    lines.iter().enumerate().skip(start).find_map(|(at, line)| {
        let line = line.text.trim_start();
        depth += usize::from(line.starts_with("//@for "));
        depth -= usize::from(line.starts_with("//@end"));
        (depth == 0).then_some(at)
    })
}

/// Replaces the identifier `variable` by `i`u and the suffix `_variable` of names by `_i`.
fn replace_index(line: &str, variable: &str, i: usize) -> String {
    // Directives keep their own words.
    let (code, directive) = line.find("//@").map_or((line, ""), |at| line.split_at(at));
    let mut out = String::new();
    for token in tokens(code) {
        match token.kind {
            Kind::Name if token.text == variable => out += &format!("{i}u"),
            Kind::Name => {
                let part = |(at, part): (usize, &str)| match at > 0 && part == variable {
                    true => i.to_string(),
                    false => part.to_string(),
                };
                out += &token.text.split('_').enumerate().map(part).collect::<Vec<_>>().join("_");
            }
            _ => out += token.text,
        }
    }
    out + directive
}
