//! How much memory this machine has for a plan, as far as the system says.

use std::path::{Path, PathBuf};

/// Bytes that can be had without taking them from others: of the machine, and of the control group that the
/// process is in. `None` where the system does not say.
pub fn available() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let places = groups.lines().filter_map(place).flat_map(|(root, path)| {
        // In a container, the group's own path may not be visible; its root is then the group itself. Limits
        // of the groups above hold too.
        let inner = root.join(path.trim_start_matches('/'));
        let above: Vec<PathBuf> = inner.ancestors().map(Path::to_path_buf).collect();
        above.into_iter().take_while(move |p| p.starts_with(&root))
    });
    machine.into_iter().chain(places.filter_map(|place| of_group(&place))).min()
}

/// Memory and swap that are available, from the text of `/proc/meminfo`.
fn of_machine(text: &str) -> Option<u64> {
    let find = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
    };
    Some(find("MemAvailable")? + find("SwapFree").unwrap_or(0))
}

/// Where the files of a line of `/proc/self/cgroup` are: a root, and a path in it.
fn place(line: &str) -> Option<(PathBuf, &str)> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    match controllers {
        "" => Some((PathBuf::from("/sys/fs/cgroup"), path)),
        _ if controllers.split(',').any(|c| c == "memory") => {
            Some((PathBuf::from("/sys/fs/cgroup/memory"), path))
        }
        _ => None,
    }
}

/// What the limit of a control group leaves. Pages that only cache files count as free.
fn of_group(place: &Path) -> Option<u64> {
    let number = |name: &str| std::fs::read_to_string(place.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes")).unwrap_or(0);
    let statistics = std::fs::read_to_string(place.join("memory.stat")).unwrap_or_default();
    let cached = statistics.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        let text =
            "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:   20000 kB\nSwapFree:   500 kB\n";
        assert_eq!(of_machine(text), Some(20_500 * 1024));
        assert_eq!(of_machine("MemTotal: 5 kB\n"), None);
        assert_eq!(place("0::/a/b"), Some((PathBuf::from("/sys/fs/cgroup"), "/a/b")));
        assert_eq!(place("7:cpu,memory:/a"), Some((PathBuf::from("/sys/fs/cgroup/memory"), "/a")));
        assert_eq!(place("3:cpuset:/a"), None);
        let group = tempfile::tempdir().unwrap();
        assert_eq!(of_group(group.path()), None);
        let write = |name: &str, text: &str| std::fs::write(group.path().join(name), text).unwrap();
        write("memory.max", "max\n");
        assert_eq!(of_group(group.path()), None, "no limit");
        write("memory.max", "1000\n");
        write("memory.current", "900\n");
        write("memory.stat", "anon 100\ninactive_file 300\n");
        assert_eq!(of_group(group.path()), Some(400));
        assert!(!cfg!(target_os = "linux") || available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
