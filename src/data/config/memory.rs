//! The `[data.memory]` table of an experiment file: where rows are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where encoded rows are kept while a model trains on them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { rows = \"disk\" }")]
pub struct MemoryConfig {
    /// On the device, in the host's memory, or on disk. `auto` takes the first of these that has room.
    #[serde(default)]
    pub rows: RowsIn,
    /// Most MiB of the device's memory that rows take up; more of them stream from the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_mib: Option<f64>,
    /// Most MiB of the host's memory that rows take up; more of them stream from disk. With rows on disk, half of it is
    /// for the rows that are shuffled among each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_mib: Option<f64>,
    /// Folder for the file of encoded rows, which is deleted at the end; by default the one in which the program was
    /// started. It should not be one that is kept in memory, as `/tmp` often is. The path is relative to the experiment
    /// file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
}

/// Where rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowsIn {
    /// The first that has room.
    #[default]
    Auto,
    /// All on the device: the fastest.
    Device,
    /// In the host's memory, from which they stream to the device while it works. Bits are those of `device`.
    Host,
    /// In a file, from which they are read block by block. Rows are shuffled by blocks.
    Disk,
}

/// MiB of rows that are shuffled among each other, unless `host_mib` says.
const POOL_MIB: f64 = 64.0;
/// Most bytes of rows that are sent to a device at once.
const SENT: f64 = 8.0 * MIB;
const MIB: f64 = 1_048_576.0;

impl MemoryConfig {
    /// Whether all is left to be found.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of rows on disk that are shuffled among each other.
    pub fn pool_bytes(&self) -> usize {
        (self.host_mib.map_or(POOL_MIB, |mib| 0.5 * mib) * MIB).max(1.0) as usize
    }

    /// Bytes of rows sent to a device at once, of which it holds two.
    pub fn sent_bytes(&self) -> usize {
        self.device_mib.map_or(SENT, |mib| (0.5 * mib * MIB).min(SENT)).max(1.0) as usize
    }

    /// Bytes that rows may take up on the device.
    pub fn device_bytes(&self) -> Option<u64> {
        self.device_mib.map(|mib| (mib * MIB) as u64)
    }

    /// Bytes that rows may take up in the host's memory.
    pub fn host_bytes(&self) -> Option<u64> {
        self.host_mib.map(|mib| (mib * MIB) as u64)
    }

    /// A limit that is no size, by its key.
    pub fn wrong_limit(&self) -> Option<(&'static str, f64)> {
        let limits = [("data.memory.device_mib", self.device_mib), ("data.memory.host_mib", self.host_mib)];
        let given = limits.into_iter().filter_map(|(key, mib)| Some((key, mib?)));
        given.into_iter().find(|(_, mib)| !(*mib > 0.0 && mib.is_finite() && *mib <= 1e9))
    }
}
