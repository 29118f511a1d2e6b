//! The shader files, embedded in the binary.

use std::sync::LazyLock;

use crate::base::step::StepRecord;

/// Text of `shaders/<name>.wgsl` or `shaders/shared/<name>.wgsl`. `shared/step` is made from the step record.
pub(super) fn find(name: &str) -> Option<&'static str> {
    static STEP: LazyLock<String> = LazyLock::new(StepRecord::wgsl);
    if name == "shared/step" {
        return Some(&STEP);
    }
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Every template, by name, with its imports and no directive carried out.
pub fn as_written() -> impl Iterator<Item = (&'static str, String)> {
    let templates = FILES.iter().filter(|(name, _)| !name.starts_with("shared/"));
    templates.map(|(name, text)| {
        let needs = |line| {
            Option::or(str::strip_prefix(line, "//@import "), str::strip_prefix(line, "//@include "))
                // Of `one or other if FLAG`, the first.
                .map(|names| names.split(" or ").next().unwrap_or(names))
                .map(|names| names.split(" if ").next().unwrap_or(names))
        };
        let imports = text.lines().filter_map(needs).flat_map(|names| names.split(", "));
        let shared: String =
            imports.filter_map(|import| find(&format!("shared/{}", import.trim()))).collect();
        (*name, shared + text)
    })
}

/// Every file in `shaders/`, by its name there without ending; `build.rs` lists them.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
