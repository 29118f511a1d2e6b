//! Lists the files in `shaders/` for `src/shader/library.rs`, so that adding a shader only takes a new file.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=shaders");
    // The list holds absolute paths: a checkout that was moved with its target folder needs another one.
    println!("cargo::rerun-if-env-changed=CARGO_MANIFEST_DIR");
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("shaders");
    let mut files = vec![];
    collect(&root, &mut files)?;
    files.sort();
    // There, nobody reads them, and every byte is downloaded.
    let is_for_browsers = env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm");
    let mut list = String::from("&[\n");
    for file in files {
        let parts: Vec<_> = file
            .strip_prefix(&root)?
            .with_extension("")
            .iter()
            .map(|p| p.to_string_lossy().into_owned())
            .collect();
        let name = parts.join("/");
        if is_for_browsers {
            writeln!(list, "    ({name:?}, {:?}),", without_comments(&fs::read_to_string(&file)?))?;
        } else {
            writeln!(list, "    ({name:?}, include_str!({:?})),", file.to_string_lossy())?;
        }
    }
    list += "]\n";
    fs::write(Path::new(&env::var("OUT_DIR")?).join("shaders.rs"), list)?;
    Ok(())
}

/// A shader without its comments. Lines with a directive (`//@`) stay as they are: what it stands behind is part of it.
fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        let code =
            if line.contains("//@") { line } else { line.split("//").next().unwrap_or_default().trim_end() };
        if !code.is_empty() {
            kept += code;
            kept.push('\n');
        }
    }
    kept
}

/// Collects the WGSL files in `folder` and its subfolders.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "wgsl") {
            files.push(path);
        }
    }
    Ok(())
}
