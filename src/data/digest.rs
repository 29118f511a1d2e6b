//! Digests of the files that data are read from.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::Digest;

use super::config::{self, DataConfig};
use super::{DataError, table};
use crate::base::files;

/// SHA-256 of the source; with several files, of their concatenated digests.
///
/// # Errors
/// If one cannot be read, or two of those that should have other rows are the same.
pub(super) fn digest_all(config: &DataConfig, directory: &Path, path: &Path) -> Result<String, DataError> {
    let (validation, test) = match &config.split {
        config::SplitConfig::Files { validation: config::Validation::File(file), test, .. } => {
            (Some(file), test.as_ref())
        }
        config::SplitConfig::Files { test, .. } => (None, test.as_ref()),
        _ => (None, None),
    };
    let edges: Vec<&String> =
        config.graph.iter().flat_map(|graph| graph.nodes.iter().chain(&graph.edges)).collect();
    let tokens = match &config.text {
        Some(config::TextConfig { tokens: config::TokensConfig::File(file), .. }) => Some(file),
        _ => None,
    };
    if !matches!(config.split, config::SplitConfig::Files { .. }) && edges.is_empty() && tokens.is_none() {
        return digest(path);
    }
    let apart: Vec<&String> = validation.into_iter().chain(test).collect();
    let others = apart.iter().copied().chain(edges).chain(tokens);
    let paths: Vec<PathBuf> = others.map(|file| directory.join(file)).collect();
    let all: Result<Vec<String>, DataError> =
        std::iter::once(path).chain(paths.iter().map(PathBuf::as_path)).map(digest).collect();
    let all = all?;
    let rows = &all[..=apart.len()];
    if let Some(at) = (1..rows.len()).find(|&at| rows[..at].contains(&rows[at])) {
        let reason = format!(
            "`{}` holds what another of the files for training, validation and test holds, so that its figures would say \
             nothing; name a file with other rows",
            apart[at - 1]
        );
        return Err(DataError::Split { reason });
    }
    Ok(hexadecimal(&sha2::Sha256::digest(all.concat())))
}

/// SHA-256 of a file; of a pattern, that of the concatenated digests of its files.
pub(super) fn digest(path: &Path) -> Result<String, DataError> {
    if let Some(digest) = table::given::digest(path) {
        return Ok(digest);
    }
    let of_file = |file: &PathBuf| {
        let mut hash = sha2::Sha256::new();
        let copied = files::File::open(file).and_then(|mut file| hash_all(&mut file, &mut hash));
        copied.map_err(|e| DataError::Io { path: file.clone(), reason: e.to_string() })?;
        Ok(hexadecimal(&hash.finalize()))
    };
    let all = table::files(path)?;
    match &all[..] {
        [file] => of_file(file),
        files => {
            let all: Vec<String> = files.iter().map(of_file).collect::<Result<_, DataError>>()?;
            Ok(hexadecimal(&sha2::Sha256::digest(all.concat())))
        }
    }
}

/// Adds all bytes of a file to a hash.
fn hash_all(file: &mut files::File, hash: &mut sha2::Sha256) -> std::io::Result<()> {
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => hash.update(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
