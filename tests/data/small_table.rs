//! Small tables written for a test, loaded as data, and the columns that they became.

use std::path::PathBuf;

use gridlight::data::{self, DataConfig, DataError, Goal, Loaded, Target};

/// A directory with `table.csv`, and what it is loaded as.
pub struct Bench {
    pub directory: tempfile::TempDir,
}

impl Bench {
    pub fn new(table: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("table.csv"), table).unwrap();
        Self { directory }
    }

    pub fn write(&self, name: &str, table: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, table).unwrap();
        path
    }

    pub fn load(&self, goal: Goal, config: &str) -> Result<Loaded, DataError> {
        let config: DataConfig =
            toml::from_str(&format!("source = \"table.csv\"\ntarget = \"y\"\n{config}")).unwrap();
        data::load(&config, self.directory.path(), goal)
    }
}

/// Rows 0 to 5 train, row 6 is for validation, row 7 for test.
pub const PARTS: &str = "part\ntrain\ntrain\ntrain\ntrain\ntrain\ntrain\nvalidation\ntest\n";

/// A table of columns, each starting with its name, next to [`PARTS`].
pub fn table(columns: &[&str]) -> String {
    let columns: Vec<Vec<&str>> = columns.iter().map(|c| c.split(' ').collect()).collect();
    let line = |(row, part): (usize, &str)| {
        let cells: Vec<&str> = columns.iter().map(|c| c[row].trim_matches('_')).collect();
        format!("{},{part}\n", cells.join(","))
    };
    PARTS.lines().enumerate().map(line).collect()
}

pub const Y: &str = "y 10 20 30 40 50 60 70 80";
pub const BY_PART: &str = "split = { by = \"column\", column = \"part\" }\n";

pub fn feature(data: &data::Dataset, name: &str) -> Vec<f32> {
    let at = data.features.iter().position(|f| f == name);
    let at = at.unwrap_or_else(|| panic!("no feature {name} in {:?}", data.features));
    data.x.chunks(data.features.len()).map(|row| row[at]).collect()
}

pub fn numbers(data: &data::Dataset) -> &[f32] {
    match &data.target {
        Some(Target::Numbers(values)) => values,
        other => panic!("expected numbers, found {other:?}"),
    }
}

pub fn assert_near(found: &[f32], expected: &[f32]) {
    let near = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near, "found {found:?}, expected {expected:?}");
}
