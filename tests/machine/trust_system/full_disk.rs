//! A disk that is full before a run ends.

use std::process::Command;

use gridlight::train::checkpoint;
use libtest_mimic::Failed;

use super::{SHORT, assert_code, assert_sound, bits, text, train, workplace};

/// A small temporary file system that lives as long as this value.
pub struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(bytes: u64) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(directory.path())
            .output()
            .map_err(|e| e.to_string())?;
        if mount.status.success() { Ok(Self(directory)) } else { Err("mount is not permitted".into()) }
    }

    pub fn problem() -> Option<String> {
        Self::new(1 << 16).err()
    }

    fn resize(&self, bytes: u64) {
        let option = format!("remount,size={bytes}");
        assert!(Command::new("mount").args(["-o", &option]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

pub fn a_full_disk_keeps_what_was_saved() -> Result<(), Failed> {
    let place = workplace(&SHORT.replace("every_steps = 2", "every_steps = 30"));
    let wide = ["--set", "model.hidden=[512]"];
    let whole = place.path().join("whole");
    assert_code(&train(place.path(), &whole, &wide).output()?, 0);
    let first = checkpoint::list(&whole.join("checkpoints")).remove(0).1;
    let size = std::fs::metadata(first)?.len();
    // From no space at all to enough for everything but the last write.
    let (mut failed, mut resumed) = (0, 0);
    for eighths in [1, 4, 9, 12, 17, 25, 33, 36] {
        let disk = Tmpfs::new(size * eighths / 8)?;
        let out = disk.0.path().join("run");
        let output = train(place.path(), &out, &wide).output()?;
        if output.status.success() {
            continue;
        }
        failed += 1;
        assert_code(&output, 5);
        let message = text(&output);
        let line = message.lines().find(|l| l.starts_with("error: ")).ok_or(message.clone())?;
        assert!(line.contains(out.to_str().unwrap()) && line.contains("No space left"), "{message}");
        assert_sound(&out);
        if out.join("experiment.toml").exists() {
            resumed += 1;
            assert_code(&train(place.path(), &out, &[&wide[..], &["--resume"]].concat()).output()?, 5);
            disk.resize(size * 100);
            assert_code(&train(place.path(), &out, &[&wide[..], &["--resume"]].concat()).output()?, 0);
        } else {
            disk.resize(size * 100);
            assert_code(&train(place.path(), &out, &wide).output()?, 0);
        }
        assert_eq!(bits(&out), bits(&whole), "{eighths}/8 of a checkpoint");
    }
    assert!(failed >= 4 && resumed >= 2, "{failed} disks were full, {resumed} during the run");
    Ok(())
}
