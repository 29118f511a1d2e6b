//! The parts of `parts.py` and `pictures.py`: functions and classes, each with a title that names those it needs.

use std::collections::BTreeSet;

const PARTS: [&str; 2] = [include_str!("parts.py"), include_str!("pictures.py")];

/// A part: its name, those it needs, and its code.
type Part = (&'static str, Vec<&'static str>, &'static str);

fn all() -> Vec<Part> {
    let part = |text: &'static str| {
        let (title, code) = text.split_once('\n').unwrap_or((text, ""));
        let mut names = title.split_whitespace();
        (names.next().unwrap_or_default(), names.collect(), code)
    };
    PARTS.iter().flat_map(|file| file.split("#: ").skip(1)).map(part).collect()
}

/// The code of these parts and of those they need, in the order of the file.
pub fn with_needed(wanted: &BTreeSet<&'static str>) -> Vec<&'static str> {
    let all = all();
    let mut needed = wanted.clone();
    let mut count = 0;
    while count != needed.len() {
        count = needed.len();
        let of = all.iter().filter(|(name, ..)| needed.contains(name));
        let more: Vec<&str> = of.flat_map(|(_, others, _)| others.iter().copied()).collect();
        needed.extend(more);
    }
    all.into_iter().filter(|(name, ..)| needed.contains(name)).map(|(.., code)| code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_name_those_they_need() {
        let all = all();
        let names: BTreeSet<&str> = all.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), all.len());
        for (name, needed, code) in &all {
            assert!(code.contains(&format!("{name}(")), "{name} is not in its own code");
            // What it calls, and of what is called there.
            let known = with_needed(&std::iter::once(*name).collect()).concat();
            for other in &names {
                let calls = code.contains(&format!(" {other}(")) || code.contains(&format!("({other}("));
                let defined =
                    known.contains(&format!("def {other}(")) || known.contains(&format!("class {other}("));
                assert!(!calls || defined, "{name} calls {other} without naming it");
            }
            assert!(needed.iter().all(|other| names.contains(other)), "{name} needs {needed:?}");
        }
    }
}
