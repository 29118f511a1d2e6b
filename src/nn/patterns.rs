//! Patterns of names: which parameters a setting is about.

use glob::Pattern;

/// Patterns of parameters' names, in which `*` stands for any text and `?` for any character.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    /// The patterns of these texts.
    ///
    /// # Errors
    /// If one is no pattern: which, and why.
    pub fn new(texts: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            Pattern::new(text).map_err(|e| format!("has the pattern \"{text}\", which is none: {}", e.msg))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them is of this name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// A pattern that is of none of these names.
    pub fn unused<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Option<&str> {
        let unused = |pattern: &&Pattern| !names.clone().any(|name| pattern.matches(name));
        self.0.iter().find(unused).map(Pattern::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_whole_names() {
        let of = |texts: &[&str]| Patterns::new(&texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        let patterns = of(&["features.*", "?.bias"]).unwrap();
        assert!(patterns.matches("features.0.weight") && patterns.matches("4.bias"));
        assert!(!patterns.matches("classifier.weight") && !patterns.matches("14.bias"));
        assert_eq!(patterns.unused(["features.1", "x"].into_iter()), Some("?.bias"));
        assert!(of(&["a["]).unwrap_err().contains("a["));
    }
}
