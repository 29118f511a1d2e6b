//! Nothing is lost when the system misbehaves: the process is killed or interrupted, the disk is full, two
//! processes want the same directory. What cannot be tested on a machine is reported as ignored, with the
//! reason.
//!
//! `GRIDLIGHT_KILLS=200` sets the number of processes to kill (default 12), `GRIDLIGHT_KILL_DEVICE=gpu` uses
//! another device than the CPU backend, and `GRIDLIGHT_CACHES=500` sets the number of ways to damage a
//! pipeline cache (default 20).

mod full_disk;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gridlight::base::rng;
use gridlight::train::checkpoint;
use libtest_mimic::{Failed, Trial};

use crate::{harness, mutate, synthetic};

pub fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn() -> Result<(), Failed>, missing: Option<String>| match missing {
        None => Trial::test(name, test),
        Some(reason) => harness::ignored(name, &reason),
    };
    let unix = || (!cfg!(unix)).then(|| "needs signals".to_string());
    vec![
        trial("a_killed_run_goes_on_to_the_same_bits", a_killed_run_goes_on_to_the_same_bits, None),
        trial("killed_models_go_on_to_the_same_bits", killed_models_go_on_to_the_same_bits, None),
        trial("two_processes_do_not_share_a_run", two_processes_do_not_share_a_run, None),
        trial("an_interrupt_says_how_to_go_on", an_interrupt_says_how_to_go_on, unix()),
        trial("a_signal_that_was_ignored_remains_so", a_signal_that_was_ignored_remains_so, unix()),
        trial("a_second_interrupt_stops_at_once", a_second_interrupt_stops_at_once, unix()),
        trial(
            "a_full_disk_keeps_what_was_saved",
            full_disk::a_full_disk_keeps_what_was_saved,
            full_disk::Tmpfs::problem(),
        ),
        trial("checkpoints_are_synced_before_and_after_the_rename", checkpoints_are_synced, trace_problem()),
        trial(
            "a_damaged_pipeline_cache_is_ignored",
            a_damaged_pipeline_cache_is_ignored,
            harness::missing().map(str::to_string),
        ),
    ]
}

/// A directory with a table and an experiment of 128 steps, with a checkpoint every other step.
fn workplace(train: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("table.csv"), synthetic::table(430)).unwrap();
    let text = format!(
        "name = \"run\"\nseed = 3\n[data]\nsource = \"table.csv\"\ntarget = \"y\"\n[data.augment]\n\
         noise = 0.1\n[data.split]\nby = \"random\"\nvalidation = 0.2\ntest = 0.2\n[model]\nhidden = [16]\n\
         dropout = 0.1\nnorm = \"batch\"\n[train]\nbatch_size = 16\n{train}"
    );
    std::fs::write(directory.path().join("run.toml"), text).unwrap();
    directory
}

const SHORT: &str = "epochs = 8\ncheckpoint_every_steps = 2\n";
const ENDLESS: &str = "epochs = 1000000\n";

fn device() -> String {
    std::env::var("GRIDLIGHT_KILL_DEVICE").unwrap_or_else(|_| "cpu".into())
}

fn train(directory: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridlight"));
    command.args(["train", "run.toml", "--device", &device(), "--out"]).arg(out).args(more);
    command.current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}

/// Files that must have the same bits in every finished run of an experiment.
fn bits(run: &Path) -> Vec<Vec<u8>> {
    let newest = checkpoint::list(&run.join("checkpoints")).pop().unwrap().1;
    [run.join("best.safetensors"), newest, run.join("metrics.csv")]
        .map(|p| std::fs::read(p).unwrap())
        .to_vec()
}

/// Every checkpoint of a run, and its best weights, are complete.
fn assert_sound(run: &Path) {
    let best = Some(run.join("best.safetensors")).filter(|best| best.exists());
    let all = checkpoint::list(&run.join("checkpoints")).into_iter().map(|(_, path)| path);
    for path in all.chain(best) {
        checkpoint::load(&path).unwrap();
    }
}

fn a_killed_run_goes_on_to_the_same_bits() -> Result<(), Failed> {
    killed_runs_go_on(&[], &["."], 12)
}

/// Models that train at the same time are cut at different steps, some of them not yet begun.
fn killed_models_go_on_to_the_same_bits() -> Result<(), Failed> {
    killed_runs_go_on(&["--seeds", "3"], &["seed-0", "seed-1", "seed-2"], 4)?;
    killed_runs_go_on(&["--ensemble", "2"], &["members/0", "members/1"], 4)
}

/// Kills trainings with the arguments `more` at random instants, `usual` of them unless the environment says otherwise, and
/// resumes them; `runs` are the run directories within that of the command.
fn killed_runs_go_on(more: &[&str], runs: &[&str], usual: u32) -> Result<(), Failed> {
    let wanted: u32 = std::env::var("GRIDLIGHT_KILLS").ok().map_or(Ok(usual), |n| n.parse())?;
    let place = workplace(SHORT);
    let whole = place.path().join("whole");
    let resume = [more, &["--resume"]].concat();
    let started = Instant::now();
    assert_code(&train(place.path(), &whole, more).output()?, 0);
    let duration = started.elapsed();
    let (mut kills, mut resumed, mut early) = (0, 0, 0);
    for number in 0.. {
        if kills >= wanted {
            break;
        }
        let run = place.path().join(format!("run-{number}"));
        // Some runs are killed once, some several times, and always the same command is repeated.
        for attempt in 0..=number % 4 {
            let begun = runs.iter().any(|one| run.join(one).join("experiment.toml").exists());
            let mut child = Running(Some(train(place.path(), &run, &resume).spawn()?));
            let random = |which| rng::uniform(rng::word([5, 5], number, attempt, which));
            // From the first instant on; every other time in the first tenth, where the run is created.
            let part = if random(1) < 0.5 { 0.1 } else { 1.0 } * random(0);
            std::thread::sleep(duration.mul_f32(part));
            let process = child.0.as_mut().unwrap();
            if process.try_wait()?.is_none() {
                if cfg!(unix) && random(2) < 0.5 {
                    send("-TERM", &child)?;
                } else {
                    process.kill()?;
                }
                kills += 1;
                resumed += u32::from(begun);
                early += u32::from(!begun);
            }
            let output = child.wait();
            assert!(output.status.code().is_none_or(|code| [0, 130].contains(&code)), "{}", text(&output));
            runs.iter().for_each(|one| assert_sound(&run.join(one)));
        }
        assert_code(&train(place.path(), &run, &resume).output()?, 0);
        let left = |d: &Path| {
            std::fs::read_dir(d).unwrap().flatten().any(|e| checkpoint::is_leftover(&e.file_name()))
        };
        for one in runs {
            let [whole, run] = [&whole, &run].map(|path| path.join(one));
            assert_eq!(bits(&run), bits(&whole), "run {number}, {one}");
            assert!(!left(&run) && !left(&run.join("checkpoints")), "a temporary file is left");
        }
        std::fs::remove_dir_all(&run)?;
    }
    eprintln!(
        "killed {kills} processes, {early} before anything could be resumed, {resumed} of them resumed ones; \
         every run ended with the same bits"
    );
    Ok(())
}

/// Kills a process when the test ends, however it ends.
struct Running(Option<Child>);

impl Running {
    fn wait(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    fn id(&self) -> String {
        self.0.as_ref().unwrap().id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a run and waits until it is training.
fn running(directory: &Path, out: &Path, more: &[&str]) -> Result<Running, Failed> {
    wait_until_it_trains(train(directory, out, more), out)
}

fn wait_until_it_trains(mut command: Command, out: &Path) -> Result<Running, Failed> {
    let mut child = Running(Some(command.spawn()?));
    let started = Instant::now();
    while !out.join("experiment.toml").exists() {
        let ended = child.0.as_mut().unwrap().try_wait()?;
        assert!(ended.is_none(), "ended early");
        assert!(started.elapsed() < Duration::from_secs(120), "does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

fn two_processes_do_not_share_a_run() -> Result<(), Failed> {
    let place = workplace(ENDLESS);
    let out = place.path().join("out");
    let first = running(place.path(), &out, &[])?;
    for more in [&[][..], &["--resume"]] {
        let second = train(place.path(), &out, more).output()?;
        assert_code(&second, 2);
        assert!(text(&second).contains(out.to_str().unwrap()), "{}", text(&second));
        assert!(text(&second).contains("another gridlight process"), "{}", text(&second));
    }
    drop(first);
    // The lock died with its process.
    let steps = checkpoint::list(&out.join("checkpoints")).pop().unwrap().0 + 1;
    let third = train(place.path(), &out, &["--resume", "--max-steps", &steps.to_string()]).output()?;
    assert_code(&third, 0);
    // Of several processes that start at once, one trains.
    let place = workplace(SHORT);
    let out = place.path().join("out");
    assert_code(&train(place.path(), &out, &[]).output()?, 0);
    let begun: Vec<Child> =
        (0..4).map(|_| train(place.path(), &out, &[]).spawn()).collect::<Result<_, _>>()?;
    let ended: Vec<Output> = begun.into_iter().map(|c| c.wait_with_output()).collect::<Result<_, _>>()?;
    assert!(ended.iter().any(|o| o.status.success()));
    assert!(
        ended.iter().all(|o| matches!(o.status.code(), Some(0 | 2))),
        "{:?}",
        ended.iter().map(text).collect::<Vec<_>>()
    );
    let earlier = (1..).map(|n| PathBuf::from(format!("{}-{n}", out.display()))).take_while(|p| p.exists());
    for run in earlier.chain([out.clone()]) {
        assert_sound(&run);
        assert!(run.join("best.safetensors").exists(), "{} was taken over", run.display());
    }
    Ok(())
}

fn send(signal: &str, child: &Running) -> Result<(), Failed> {
    assert!(Command::new("kill").args([signal, &child.id()]).status()?.success());
    Ok(())
}

/// Whether these tests ignore a signal, and so all that they start: what a shell runs in the background ignores SIGINT.
fn is_ignored(signal: &str) -> bool {
    let number = match signal {
        "-HUP" => 1,
        "-INT" => 2,
        _ => 15,
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (number - 1) & 1 == 1
}

fn an_interrupt_says_how_to_go_on() -> Result<(), Failed> {
    let heard = ["-INT", "-TERM", "-HUP"].into_iter().filter(|signal| !is_ignored(signal));
    heard.into_iter().try_for_each(interrupted_training_says_how_to_go_on)
}

fn interrupted_training_says_how_to_go_on(signal: &str) -> Result<(), Failed> {
    let place = workplace(ENDLESS);
    let out = place.path().join("it's out");
    let child = running(place.path(), &out, &[])?;
    std::thread::sleep(Duration::from_millis(300));
    send(signal, &child)?;
    let output = child.wait();
    assert_code(&output, 130);
    let message = text(&output);
    let (_, command) = message.trim_end().rsplit_once("  gridlight ").ok_or(message.clone())?;
    // The reported command, in a shell.
    let line = format!("{} {command} --max-steps 1", env!("CARGO_BIN_EXE_gridlight"));
    let resumed = Command::new("sh").args(["-c", &line]).current_dir(place.path()).output()?;
    assert_code(&resumed, 0);
    assert!(text(&resumed).contains("resumed at step"), "{}", text(&resumed));
    Ok(())
}

/// As under `nohup`.
fn a_signal_that_was_ignored_remains_so() -> Result<(), Failed> {
    let place = workplace(ENDLESS);
    let out = place.path().join("out");
    let plain = train(place.path(), &out, &[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(place.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = wait_until_it_trains(shell, &out)?;
    send("-HUP", &child)?;
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.0.as_mut().unwrap().try_wait()?.is_none(), "the ignored signal ended it");
    send("-TERM", &child)?;
    assert_code(&child.wait(), 130);
    Ok(())
}

fn a_second_interrupt_stops_at_once() -> Result<(), Failed> {
    let place = workplace(SHORT);
    // An experiment that never arrives keeps the program from handling the first interrupt.
    let experiment = place.path().join("run.toml");
    std::fs::remove_file(&experiment)?;
    assert!(Command::new("mkfifo").arg(&experiment).status()?.success());
    // Somebody who is about to write.
    let _writer = std::fs::File::options().read(true).write(true).open(&experiment)?;
    let out = place.path().join("out");
    let mut child = Running(Some(train(place.path(), &out, &[]).spawn()?));
    std::thread::sleep(Duration::from_millis(500));
    send(if is_ignored("-INT") { "-TERM" } else { "-INT" }, &child)?;
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.0.as_mut().unwrap().try_wait()?.is_none(), "the first interrupt alone ended it");
    send("-TERM", &child)?;
    let asked = Instant::now();
    while child.0.as_mut().unwrap().try_wait()?.is_none() {
        assert!(asked.elapsed() < Duration::from_secs(5), "the second interrupt did not end it");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_code(&child.wait(), 130);
    assert!(!out.exists(), "nothing was begun");
    Ok(())
}

fn trace_problem() -> Option<String> {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    match traced {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some("strace is not permitted".into()),
        Err(_) => Some("strace is not installed".into()),
    }
}

fn checkpoints_are_synced() -> Result<(), Failed> {
    let place = workplace(&SHORT.replace("every_steps = 2", "every_steps = 30"));
    let (out, log) = (place.path().join("out"), place.path().join("log"));
    let status = Command::new("strace")
        .args(["-ff", "-y", "-e", "trace=write,fsync,fdatasync,rename,renameat,renameat2", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_gridlight"))
        .args(["train", "run.toml", "--device", "cpu", "--out"])
        .arg(&out)
        .current_dir(place.path())
        .output()?;
    assert_code(&status, 0);
    // One log per thread: within each, calls are in order.
    let mut seen = vec![];
    for entry in std::fs::read_dir(place.path())?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("log.") {
            continue;
        }
        let calls = std::fs::read_to_string(entry.path())?;
        let calls: Vec<&str> = calls.lines().collect();
        for (at, call) in calls.iter().enumerate().filter(|(_, c)| c.starts_with("rename")) {
            let quoted: Vec<&str> = call.split('"').collect();
            let (from, to) = (quoted[1], quoted[3]);
            let find = |range: std::ops::Range<usize>, name: &str, path: &str| {
                let shown = format!("<{path}");
                range.clone().find(|&i| calls[i].starts_with(name) && calls[i].contains(&shown))
            };
            let written = find(0..at, "write(", from).unwrap_or_else(|| panic!("no write before {call}"));
            find(written..at, "fsync(", from).unwrap_or_else(|| panic!("no fsync before {call}"));
            let directory = Path::new(to).parent().unwrap().to_str().unwrap();
            let next = (at + 1..calls.len()).find(|&i| calls[i].starts_with("rename")).unwrap_or(calls.len());
            find(at..next, "fsync(", &format!("{directory}>"))
                .unwrap_or_else(|| panic!("no fsync after {call}"));
            seen.push(Path::new(to).file_name().unwrap().to_str().unwrap().to_string());
        }
    }
    for step in [0, 30, 60, 90, 120, 128] {
        let name = format!("step-{step}.safetensors");
        assert!(seen.contains(&name), "{name} was not renamed into place: {seen:?}");
    }
    for name in ["best.safetensors", "metrics.csv", "experiment.toml"] {
        assert!(seen.iter().any(|s| s == name), "{name}: {seen:?}");
    }
    Ok(())
}

fn a_damaged_pipeline_cache_is_ignored() -> Result<(), Failed> {
    let wanted: u32 = std::env::var("GRIDLIGHT_CACHES").ok().map_or(Ok(20), |n| n.parse())?;
    let place = workplace(SHORT);
    let home = place.path().join("cache");
    let train = |out: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridlight"));
        command.args(["train", "run.toml", "--device", "gpu", "--max-steps", "2", "--out"]).arg(out);
        for name in ["XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"] {
            command.env(name, &home);
        }
        command.current_dir(place.path()).output()
    };
    let first = place.path().join("first");
    assert_code(&train(&first)?, 0);
    let files = std::fs::read_dir(home.join("gridlight")).map(|d| d.flatten().map(|e| e.path()).collect());
    let files: Vec<PathBuf> = files.unwrap_or_default();
    // A driver may offer no cache.
    let Some(cache) = files.first() else { return Ok(()) };
    let valid = std::fs::read(cache)?;
    for seed in 0..wanted {
        std::fs::write(cache, mutate::mutate(&valid, seed))?;
        let out = place.path().join("out");
        assert_code(&train(&out)?, 0);
        assert_eq!(
            std::fs::read(out.join("best.safetensors"))?,
            std::fs::read(first.join("best.safetensors"))?
        );
        std::fs::remove_dir_all(out)?;
    }
    Ok(())
}
