//! The template language. A template is valid WGSL as written; directives live in comments.
//!
//! | directive | meaning |
//! |---|---|
//! | `//@import name` | the text of `shaders/shared/name.wgsl` |
//! | `//@include name` | the lines of the same file, here, with their directives |
//! | `const N: u32 = 1u; //@param` | the value is replaced |
//! | `LINE //@insert name` | the line is replaced by generated text |
//! | `//@for i in COUNT` ... `//@end` | repeated for `i` = 0, 1, ...; `_i` at the end of a name becomes `_0`, `_1` |
//! | `const i: u32 = 0u; //@index` | the index of `//@for` as written; the line is dropped |
//! | `//@if FLAG` ... `//@else` ... `//@end` | one of the two; lines not chosen as written begin with `//\|` |

use std::collections::BTreeMap;

use super::library;

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
    inserts: BTreeMap<String, String>,
}

impl Template {
    /// `shaders/<name>.wgsl`.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets a `u32` parameter, which also counts `//@for` loops and decides `//@if`.
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

    /// Sets a flag of `//@if`.
    pub fn flag(mut self, name: &str, on: bool) -> Self {
        self.counts.insert(name.into(), usize::from(on));
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
        let text =
            library::find(&self.name).ok_or_else(|| self.error(&self.name, 0, "there is no such file"))?;
        let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(i, l)| (i + 1, l)).collect();
        let mut out = Text::default();
        self.block(&self.name, &lines, &mut out)?;
        Ok(out)
    }

    fn error(&self, file: &str, line: usize, reason: impl Into<String>) -> TemplateError {
        TemplateError { file: file.into(), line, reason: reason.into() }
    }

    fn block(&self, file: &str, lines: &[(usize, &str)], out: &mut Text) -> Result<(), TemplateError> {
        let mut at = 0;
        while at < lines.len() {
            let (number, line) = lines[at];
            let trimmed = line.trim_start();
            if let Some(name) = trimmed.strip_prefix("//@import ") {
                out.imports.push(name.trim().to_string());
            } else if let Some(name) = trimmed.strip_prefix("//@include ") {
                let included = format!("shared/{}", name.trim());
                let text = library::find(&included)
                    .ok_or_else(|| self.error(file, number, format!("there is no `{included}`")))?;
                let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(i, l)| (i + 1, l)).collect();
                self.block(&included, &lines, out)?;
            } else if let Some(rest) = trimmed.strip_prefix("//@for ") {
                let end = self.end_of(file, lines, at)?;
                let (variable, count) = rest
                    .split_once(" in ")
                    .ok_or_else(|| self.error(file, number, "expected `i in COUNT`"))?;
                let (variable, count) = (variable.trim(), self.count(file, number, count.trim())?);
                for i in 0..count {
                    let repeated: Vec<(usize, String)> =
                        lines[at + 1..end].iter().map(|(n, l)| (*n, replace_index(l, variable, i))).collect();
                    let borrowed: Vec<(usize, &str)> =
                        repeated.iter().map(|(n, l)| (*n, l.as_str())).collect();
                    self.block(file, &borrowed, out)?;
                }
                at = end;
            } else if let Some(flag) = trimmed.strip_prefix("//@if ") {
                let end = self.end_of(file, lines, at)?;
                let on = self.count(file, number, flag.trim())? != 0;
                let middle = self.else_of(lines, at, end);
                let (first, second) = (&lines[at + 1..middle], &lines[(middle + 1).min(end)..end]);
                let chosen = if on { first } else { second };
                let uncommented: Vec<(usize, String)> =
                    chosen.iter().map(|(n, l)| (*n, l.replacen("//| ", "", 1))).collect();
                let borrowed: Vec<(usize, &str)> =
                    uncommented.iter().map(|(n, l)| (*n, l.as_str())).collect();
                self.block(file, &borrowed, out)?;
                at = end;
            } else if let Some((_, name)) = line.split_once("//@insert ") {
                let text = self.inserts.get(name.trim());
                out.own
                    .push_str(text.ok_or_else(|| self.error(file, number, format!("`{name}` is not set")))?);
                out.own.push('\n');
            } else if let Some((declaration, _)) = line.split_once("//@param") {
                let (left, _) =
                    declaration.split_once('=').ok_or_else(|| self.error(file, number, "expected `=`"))?;
                let name =
                    left.trim().trim_start_matches("const ").split(':').next().unwrap_or_default().trim();
                let value = self
                    .values
                    .get(name)
                    .ok_or_else(|| self.error(file, number, format!("`{name}` is not set")))?;
                out.own.push_str(&format!("{}= {value};\n", left));
            } else if !trimmed.starts_with("//") && !line.contains("//@index") {
                out.own.push_str(line);
                out.own.push('\n');
            }
            at += 1;
        }
        Ok(())
    }

    fn count(&self, file: &str, line: usize, name: &str) -> Result<usize, TemplateError> {
        let literal = name.parse().ok();
        literal
            .or_else(|| self.counts.get(name).copied())
            .ok_or_else(|| self.error(file, line, format!("`{name}` is not set")))
    }

    /// Line of the `//@end` that closes the directive at `start`.
    fn end_of(&self, file: &str, lines: &[(usize, &str)], start: usize) -> Result<usize, TemplateError> {
        let mut depth = 0;
        for (at, (_, line)) in lines.iter().enumerate().skip(start) {
            let line = line.trim_start();
            if line.starts_with("//@for ") || line.starts_with("//@if ") {
                depth += 1;
            } else if line.starts_with("//@end") {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
        }
        Err(self.error(file, lines[start].0, "no //@end"))
    }

    /// Line of the `//@else` between `start` and `end`, or `end`.
    fn else_of(&self, lines: &[(usize, &str)], start: usize, end: usize) -> usize {
        let mut depth = 0;
        for (at, (_, line)) in lines.iter().enumerate().take(end).skip(start + 1) {
            let line = line.trim_start();
            if line.starts_with("//@for ") || line.starts_with("//@if ") {
                depth += 1;
            } else if line.starts_with("//@end") {
                depth -= 1;
            } else if line.starts_with("//@else") && depth == 0 {
                return at;
            }
        }
        end
    }
}

/// Replaces the identifier `variable` by `i`u and the suffix `_variable` of names by `_i`.
fn replace_index(line: &str, variable: &str, i: usize) -> String {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_name) {
        let length = rest[start..].find(|c| !is_name(c)).unwrap_or(rest.len() - start);
        let word = &rest[start..start + length];
        out.push_str(&rest[..start]);
        let parts: Vec<String> = word
            .split('_')
            .enumerate()
            .map(|(at, part)| if at > 0 && part == variable { i.to_string() } else { part.to_string() })
            .collect();
        // Directives keep their own words.
        if word == variable && !line.trim_start().starts_with("//@") {
            out.push_str(&format!("{i}u"));
        } else {
            out.push_str(&parts.join("_"));
        }
        rest = &rest[start + length..];
    }
    out + rest
}
