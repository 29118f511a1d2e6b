//! Patterns of names: which parameters a setting is about.

use glob::Pattern;

/// Patterns of parameters' names, in which `*` stands for any text and `?` for any character.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patterns {
    of: Vec<Pattern>,
    /// What they are not of.
    except: Vec<Pattern>,
}

impl Patterns {
    /// The patterns of these texts.
    ///
    /// # Errors
    /// If one is no pattern: which, and why.
    pub fn new(texts: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            Pattern::new(text).map_err(|e| format!("has the pattern \"{text}\", which is none: {}", e.msg))
        };
        let of = texts.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { of, except: vec![] })
    }

    /// The same without names of these patterns.
    ///
    /// # Errors
    /// As [`Patterns::new`].
    pub fn except(self, texts: &[String]) -> Result<Self, String> {
        Ok(Self { except: Self::new(texts)?.of, ..self })
    }

    /// Whether one of them is of this name.
    pub fn matches(&self, name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.of) && !any(&self.except)
    }

    /// A pattern that is of none of these names.
    pub fn unused<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Option<&str> {
        let unused = |pattern: &&Pattern| !names.clone().any(|name| pattern.matches(name));
        self.of.iter().find(unused).map(Pattern::as_str)
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
        let others = of(&["*"]).unwrap().except(&["*.bias".to_string()]).unwrap();
        assert!(others.matches("0.weight") && !others.matches("0.bias"));
    }
}
