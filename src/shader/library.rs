//! The shader files, embedded in the binary.

/// Text of `shaders/<name>.wgsl` or `shaders/shared/<name>.wgsl`.
pub(super) fn find(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Every template, by name, with its imports and no directive carried out.
pub fn as_written() -> impl Iterator<Item = (&'static str, String)> {
    let templates = FILES.iter().filter(|(name, _)| !name.starts_with("shared/"));
    templates.map(|(name, text)| {
        let needs =
            |line| Option::or(str::strip_prefix(line, "//@import "), str::strip_prefix(line, "//@include "));
        let imports = text.lines().filter_map(needs);
        let shared: String =
            imports.filter_map(|import| find(&format!("shared/{}", import.trim()))).collect();
        (*name, shared + text)
    })
}

/// Every file in `shaders/`, by its name there without ending; `build.rs` lists them.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
