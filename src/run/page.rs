//! A folder for a web server: a page that trains experiments on their data in the visitor's browser.
//!
//! The page's own files are part of the program; its engine, this library as WebAssembly, is built by `web/build.sh`
//! and given as a folder, or is part of the program too (feature `web-engine`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::directory::RunDirectory;
use super::live;
use super::trainer;
use crate::data::{DataConfig, DataError, image};
use crate::experiment::Experiment;
use crate::train::TrainError;

/// The page's own files.
const PAGE: [(&str, &str); 10] = [
    ("index.html", include_str!("../../web/index.html")),
    ("style.css", include_str!("../../web/style.css")),
    ("page.js", include_str!("../../web/page.js")),
    ("engine.js", include_str!("../../web/engine.js")),
    ("worker.js", include_str!("../../web/worker.js")),
    ("curve.js", include_str!("../../web/curve.js")),
    ("board.js", include_str!("../../web/board.js")),
    ("given.js", include_str!("../../web/given.js")),
    ("shown.js", include_str!("../../web/shown.js")),
    ("small.js", include_str!("../../web/small.js")),
];

/// The files of the engine.
pub const ENGINE: [&str; 2] = ["gridlight_web.js", "gridlight_web_bg.wasm"];

/// The engine, if it is part of the program.
#[cfg(feature = "web-engine")]
const BUILT_IN: Option<[&[u8]; 2]> = Some([
    include_bytes!("../../web/pkg/gridlight_web.js"),
    include_bytes!("../../web/pkg/gridlight_web_bg.wasm"),
]);
#[cfg(not(feature = "web-engine"))]
const BUILT_IN: Option<[&[u8]; 2]> = None;

/// An experiment of the page, in `experiments.json`.
#[derive(Serialize)]
struct Entry {
    title: String,
    about: String,
    toml: String,
    /// Names of the files that it reads, in `data/`: `table.csv`, or `photos/cat/1.png` in a folder.
    files: Vec<String>,
    /// The file of weights that it begins with, in `data/`.
    weights: Option<String>,
}

/// Reads the engine from a folder, or from the program itself.
///
/// # Errors
/// If it is in neither.
pub fn engine(folder: Option<&Path>) -> Result<[Vec<u8>; 2], TrainError> {
    let Some(folder) = folder else {
        return BUILT_IN.map(|files| files.map(<[u8]>::to_vec)).ok_or_else(|| {
            TrainError::Input(
                "this program does not hold the engine for browsers; build it with web/build.sh from Gridlight's source, \
                 which says what that takes, and name its folder: --engine web/pkg"
                    .into(),
            )
        });
    };
    let mut files = [vec![], vec![]];
    for (name, bytes) in ENGINE.into_iter().zip(&mut files) {
        let path = folder.join(name);
        *bytes = std::fs::read(&path).map_err(|e| {
            let reason = format!("{e}; the engine for browsers is built by web/build.sh, into web/pkg");
            TrainError::unusable(&path, reason)
        })?;
    }
    Ok(files)
}

/// What goes into the folder, by path.
struct Folder(BTreeMap<String, Vec<u8>>);

impl Folder {
    /// Adds a file of the data under its name.
    fn add(&mut self, name: &str, source: &Path) -> Result<(), TrainError> {
        let bytes = std::fs::read(source).map_err(|e| TrainError::io(source, &e))?;
        if bytes.starts_with(b"PAR1") || bytes.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
            let reason =
                "a browser reads neither Parquet nor Zstandard; save the table as CSV (.csv or .csv.gz)";
            return Err(TrainError::unusable(source, reason));
        }
        self.put(name, bytes).map_err(|reason| TrainError::unusable(source, reason))
    }

    /// Adds bytes under a name; two files of one name must be equal, since all experiments' lie side by side.
    fn put(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        match self.0.insert(format!("data/{name}"), bytes) {
            Some(other) if self.0[&format!("data/{name}")] != other => {
                Err(format!("another file is called {name} too; rename one, as they lie in one folder"))
            }
            _ => Ok(()),
        }
    }
}

/// Writes the page for experiments and runs into the new folder `out`; returns its bytes.
///
/// # Errors
/// If one of them cannot be trained in a browser, a file cannot be read, or `out` exists.
pub fn write(sources: &[PathBuf], engine: [Vec<u8>; 2], out: &Path) -> Result<usize, TrainError> {
    if out.exists() {
        return Err(TrainError::unusable(out, "exists; give another folder with --out, or remove it"));
    }
    let mut folder = Folder(BTreeMap::new());
    let entries: Vec<Entry> =
        sources.iter().map(|path| entry(path, &mut folder)).collect::<Result<_, _>>()?;
    let mut files = folder.0;
    files.extend(PAGE.map(|(name, text)| (name.to_string(), text.into())));
    files.extend(ENGINE.into_iter().map(|name| format!("engine/{name}")).zip(engine));
    let json = serde_json::to_vec_pretty(&entries).map_err(|e| TrainError::Input(e.to_string()))?;
    files.insert("experiments.json".into(), json);
    // Written beside its place and renamed: whole or absent.
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |e: std::io::Error| TrainError::io(out, &e);
    std::fs::create_dir_all(parent).map_err(fail)?;
    let place = tempfile::Builder::new().prefix(".partial-").tempdir_in(parent).map_err(fail)?;
    for (name, bytes) in &files {
        let file = place.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(place.path())).map_err(fail)?;
        std::fs::write(file, bytes).map_err(fail)?;
    }
    #[cfg(unix)]
    {
        // Temporary folders are private; this one is for a server.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).map_err(fail)?;
    }
    std::fs::rename(place.keep(), out).map_err(fail)?;
    Ok(files.values().map(Vec::len).sum())
}

/// An experiment of the page, from its file or from a run.
fn entry(path: &Path, folder: &mut Folder) -> Result<Entry, TrainError> {
    let is_run = path.is_dir();
    let (mut experiment, directory) = if is_run {
        (RunDirectory::open(path)?.experiment()?, PathBuf::new())
    } else {
        (Experiment::read(path, &[])?, Experiment::directory(path))
    };
    live::check(&experiment)?;
    // What fails here would fail before every visitor.
    trainer::load_data(&experiment, &directory)?;
    let names = experiment.data.names().map_err(|reason| TrainError::unusable(path, reason))?;
    let files = files_of(&experiment.data, names, &directory)?;
    for (name, file) in &files {
        folder.add(name, file)?;
    }
    let (toml, weights) = if is_run {
        let name = format!("{}.safetensors", experiment.name);
        let best = RunDirectory::open(path)?.best();
        let bytes = std::fs::read(&best).map_err(|e| TrainError::io(&best, &e))?;
        folder.put(&name, bytes).map_err(|reason| TrainError::unusable(&best, reason))?;
        // Where the data lie on this machine is nobody's business.
        for path in experiment.data.paths() {
            let name = Path::new(path.as_str()).file_name().map(|name| name.to_string_lossy().into_owned());
            *path = name.unwrap_or_default();
        }
        (experiment.resolved(), Some(name))
    } else {
        (std::fs::read_to_string(path).map_err(|e| TrainError::io(path, &e))?, None)
    };
    let files = files.into_keys().collect();
    Ok(Entry { title: experiment.name.clone(), about: about(&toml), toml, files, weights })
}

/// The files that are read of these paths, by their names in the page's folder.
fn files_of(
    config: &DataConfig,
    names: BTreeMap<String, String>,
    directory: &Path,
) -> Result<BTreeMap<String, PathBuf>, TrainError> {
    let finds_labels = config.target.is_some() && config.labels.is_none();
    let mut found = BTreeMap::new();
    for (name, path) in names {
        let path = directory.join(path);
        if !path.exists() {
            let reason = "a browser reads single files and folders of pictures: a pattern is neither";
            return Err(DataError::Io { path, reason: reason.into() }.into());
        }
        for file in image::files::all(&path, finds_labels)? {
            let name = match file.strip_prefix(&path) {
                Ok(inside) if inside.as_os_str().is_empty() => name.clone(),
                Ok(inside) => format!("{name}/{}", shown(&file, inside)?),
                Err(_) => shown(&file, Path::new(file.file_name().unwrap_or_default()))?,
            };
            found.insert(name, file);
        }
    }
    Ok(found)
}

/// A path as a page names it.
fn shown(file: &Path, path: &Path) -> Result<String, TrainError> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    let parts = parts.ok_or_else(|| TrainError::unusable(file, "its name is no Unicode; rename it"))?;
    Ok(parts.join("/"))
}

/// The first sentence of the comment that an experiment begins with, up to a command, which is indented.
fn about(toml: &str) -> String {
    let lines = toml.lines().map_while(|line| line.strip_prefix('#'));
    let text: Vec<&str> = lines.take_while(|line| !line.starts_with("  ")).map(str::trim).collect();
    let text = text.join(" ");
    let first = text[..end_of_sentence(&text)].trim_end_matches([':', '.']);
    match first.chars().last() {
        None => String::new(),
        Some('?' | '!') => first.into(),
        Some(_) => format!("{first}."),
    }
}

/// What ends with a full stop within a sentence.
const SHORT: [&str; 12] = ["Mr", "Mrs", "Ms", "Dr", "Prof", "St", "No", "Fig", "vs", "cf", "approx", "resp"];

/// Where the first sentence of a text ends: behind a full stop, a question mark or an exclamation mark before a space and
/// what a sentence begins with, outside of quotes and parentheses. An abbreviation or an initial ends none.
fn end_of_sentence(text: &str) -> usize {
    let (mut open, mut quoted) = (0usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            '"' => quoted = !quoted,
            '\u{201C}' => quoted = true,
            '\u{201D}' => quoted = false,
            _ => {}
        }
        let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
        if open > 0 || quoted || !matches!(c, '.' | '?' | '!') || !after.starts_with(' ') {
            continue;
        }
        let word = before.rsplit([' ', '(', '"', '-']).next().unwrap_or_default();
        let is_letter = |part: &str| part.chars().count() == 1 && part.chars().all(char::is_alphabetic);
        let is_initial = is_letter(word) && word.chars().all(char::is_uppercase);
        let is_short =
            is_initial || word.contains('.') && word.split('.').all(is_letter) || SHORT.contains(&word);
        let goes_on = after.trim_start().starts_with(char::is_lowercase);
        if !(goes_on || c == '.' && is_short) {
            return at + c.len_utf8();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_is_described_by_its_first_sentence() {
        assert_eq!(about("# One thing (8 x 8) here.\n# Two.\nname = \"a\""), "One thing (8 x 8) here.");
        assert_eq!(about("# On two\n# lines. More:\nname = \"a\""), "On two lines.");
        assert_eq!(about("# Draws:\n#   gridlight sample\n# Goal."), "Draws.");
        assert_eq!(about("name = \"a\"\n# not this"), "");
        for (text, first) in [
            (
                "Two: the one (1, \"Mr. Hi\") and (34, \"Officer\"), as in K. Two. More",
                "Two: the one (1, \"Mr. Hi\") and (34, \"Officer\"), as in K. Two.",
            ),
            (
                "As Dr. Who and J. Doe did, e.g. Nature (see no. 3. A. B.). Then",
                "As Dr. Who and J. Doe did, e.g. Nature (see no. 3. A. B.).",
            ),
            ("Which days are odd? Learns them. More", "Which days are odd?"),
            ("Grows by 2.5 a day, etc. and so on. More", "Grows by 2.5 a day, etc. and so on."),
            ("A quote: \"never closed. More", "A quote: \"never closed. More."),
            ("In \u{201C}Nature. A Journal\u{201D}. More", "In \u{201C}Nature. A Journal\u{201D}."),
            ("Ends in 2017. A network", "Ends in 2017."),
            ("Learns y. As in a.toml. B", "Learns y."),
            ("As in a.toml. B", "As in a.toml."),
        ] {
            assert_eq!(about(&format!("# {text}\n")), first);
        }
    }

    #[test]
    fn files_of_one_name_must_be_equal() {
        let mut folder = Folder(BTreeMap::new());
        folder.put("a.csv", vec![1]).unwrap();
        folder.put("a.csv", vec![1]).unwrap();
        assert!(folder.put("a.csv", vec![2]).unwrap_err().contains("a.csv"));
    }
}
