//! Where a key of an experiment was set: line and column of the file, or a command-line argument.

use crate::base::config::ConfigError;

/// The origin of an experiment, so that errors can point at a key long after it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The file's name for messages.
    pub place: String,
    /// The text of the file.
    pub text: String,
    /// `--set` arguments.
    pub overrides: Vec<String>,
    /// The keys of both.
    pub given: toml::Table,
}

/// Experiments with the same contents are equal, wherever they come from.
impl PartialEq for Origin {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Origin {
    /// Whether `key` (`table.key`) was set, rather than left at its default.
    pub fn gives(&self, key: &str) -> bool {
        let mut parts = key.split('.');
        let first = parts.next().and_then(|part| self.given.get(part));
        parts.fold(first, |value, part| value?.get(part)).is_some()
    }

    /// An error about `key` (`a.b.c`), located where it was last set; if it was not set, at its innermost
    /// table.
    pub fn error(&self, key: &str, reason: &str) -> ConfigError {
        let sets = |argument: &&String| {
            let set = argument.split('=').next().unwrap_or_default().trim();
            key.strip_prefix(set).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let place = match self.overrides.iter().rev().find(sets) {
            Some(argument) => format!("--set {argument}"),
            None => self.locate(key).map_or_else(|| self.place.clone(), |start| self.at(start)),
        };
        ConfigError { place, reason: format!("`{key}` {reason}") }
    }

    /// `file:line:column` of a byte of the text.
    pub fn at(&self, start: usize) -> String {
        let end = (0..=start.min(self.text.len())).rev().find(|&i| self.text.is_char_boundary(i));
        let before = &self.text[..end.unwrap_or(0)];
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.chars().rev().take_while(|&c| c != '\n').count();
        format!("{}:{line}:{column}", self.place)
    }

    /// Position of `a.b.c` in the text, or of the innermost table present if the key itself is not.
    fn locate(&self, key: &str) -> Option<usize> {
        let document = toml::de::DeTable::parse(&self.text).ok()?;
        let mut table = document.into_inner();
        let mut start = None;
        for part in key.split('.') {
            let Some((name, value)) = table.into_iter().find(|(name, _)| name.get_ref() == part) else {
                break;
            };
            start = Some(name.span().start);
            match value.into_inner() {
                toml::de::DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_where_it_was_given_last() {
        let origin = |overrides: &[&str]| Origin {
            place: "x.toml".into(),
            text: "name = \"ä\"\n[train]\nepochs = 2\noptimizer = { type = \"sgd\" }\n".into(),
            overrides: overrides.iter().map(|o| o.to_string()).collect(),
            given: toml::Table::new(),
        };
        let place = |origin: Origin, key: &str| origin.error(key, "is wrong").place;
        assert_eq!(place(origin(&[]), "train.epochs"), "x.toml:3:1");
        assert_eq!(place(origin(&[]), "train.batch_size"), "x.toml:2:2", "not given: its table");
        assert_eq!(place(origin(&[]), "model.hidden"), "x.toml");
        assert_eq!(
            place(origin(&["train.epochs=3", "train.epochs = 4"]), "train.epochs"),
            "--set train.epochs = 4"
        );
        assert_eq!(place(origin(&["train={epochs=3}"]), "train.epochs"), "--set train={epochs=3}");
        assert_eq!(place(origin(&["train.epoch=3"]), "train.epochs"), "x.toml:3:1");
    }
}
