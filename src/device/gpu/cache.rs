//! The driver's compiled pipelines, kept in the user's cache directory. Best effort: missing, stale or
//! damaged data is ignored and replaced.

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A pipeline cache and the file it came from.
#[derive(Debug)]
pub struct DiskCache {
    /// The cache that pipelines are created with.
    pub pipelines: wgpu::PipelineCache,
    path: PathBuf,
}

/// Length of the checksum before the data.
const DIGEST: usize = 32;

/// Opens the cache of an adapter; `None` if its driver has none or there is no cache directory.
pub fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<DiskCache> {
    if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
        return None;
    }
    let key = wgpu::util::pipeline_cache_key(info)?;
    let path = directory()?.join(format!("{key}_{}.bin", digest(&driver(info))));
    let data = read(&path);
    Some(DiskCache { pipelines: super::trusted::pipeline_cache(device, data.as_deref()), path })
}

impl DiskCache {
    /// Writes the compiled pipelines. A failure is not an error: the next start compiles again.
    pub fn save(&self) {
        if let Some(data) = self.pipelines.get_data() {
            let _ = self.write(&data);
        }
    }

    fn write(&self, data: &[u8]) -> std::io::Result<()> {
        if read(&self.path).is_some_and(|old| old == data) {
            return Ok(());
        }
        write(&self.path, &[&Sha256::digest(data), data].concat())
    }
}

/// What identifies an adapter and its driver.
pub fn driver(info: &wgpu::AdapterInfo) -> String {
    format!("{}\n{}\n{}", info.name, info.driver, info.driver_info)
}

/// A short digest of `text`, for names.
pub fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file of the cache, which is complete or as before whatever happens.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// The data in a cache file, if its checksum matches.
fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let (digest, data) = bytes.split_at_checked(DIGEST)?;
    (Sha256::digest(data).as_slice() == digest).then(|| data.to_vec())
}

/// Gridlight's folder in the user's cache directory, by the system's convention.
pub fn directory() -> Option<PathBuf> {
    let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let caches = if cfg!(target_os = "windows") {
        path("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        path("HOME").map(|home| home.join("Library/Caches"))
    } else {
        path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")))
    };
    Some(caches?.join("gridlight"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache.bin");
        assert_eq!(read(&path), None, "missing");
        std::fs::write(&path, [1, 2, 3]).unwrap();
        assert_eq!(read(&path), None, "too short");
        let mut bytes = Sha256::digest(b"data").to_vec();
        bytes.extend(b"data");
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).as_deref(), Some(&b"data"[..]));
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), None, "changed");
    }
}
