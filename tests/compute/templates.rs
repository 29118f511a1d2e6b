//! The files of `shaders/` are valid WGSL as they stand, and their directives do what they say.

use gridlight::shader::{Template, as_written};

use crate::shaders::check;

#[test]
fn templates_are_valid_as_written() {
    let mut count = 0;
    for (name, source) in as_written() {
        check(name, &source);
        count += 1;
    }
    // Beside the templates there is the folder of imports.
    assert_eq!(count, std::fs::read_dir("shaders").unwrap().count() - 1, "a template is not embedded");
}

/// Lines that an editor does not see as code, of those that are not empty.
#[test]
fn less_than_a_fifth_of_a_shader_is_directives() {
    let mut files = 0;
    for folder in ["shaders", "shaders/shared"] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "wgsl") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
            let hidden = lines().filter(|line| line.starts_with("//@") || line.starts_with("//|")).count();
            assert!(5 * hidden < lines().count(), "{}: {hidden} of {}", path.display(), lines().count());
            files += 1;
        }
    }
    assert!(files > 20, "the shaders are found");
}

#[test]
fn directives() {
    let expand = |template: Template| template.expand().unwrap().own;
    let text = expand(
        Template::new("gradient_norm")
            .set("LEN", 5)
            .set("PARTIALS", 3)
            .set("GROUPS_X", 7)
            .set_f32("MAX_NORM", 0.5f32.to_bits())
            .flag("FINAL", true),
    );
    assert!(text.contains("const LEN: u32 = 5u;") && text.contains("const MAX_NORM: f32 = 0.5f;"), "{text}");
    assert!(text.contains("let norm = sqrt_(total);") && !text.contains("1024u"), "{text}");
    assert!(!text.contains("//"), "a directive is left: {text}");
    let missing = Template::new("gradient_norm").expand().unwrap_err().to_string();
    let place = missing.split_once(": ").map_or("", |(place, _)| place);
    assert!(
        place.starts_with("shaders/gradient_norm.wgsl:") && missing.contains("`LEN` is not set"),
        "{missing}"
    );
    let unknown = Template::new("no_such_kernel").expand().unwrap_err().to_string();
    assert!(unknown.contains("there is no such file"), "{unknown}");
}
