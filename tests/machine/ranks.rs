//! `mpirun -n N gridlight train`: several processes that train one model. Without mpirun these tests are
//! ignored.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::harness::{Check, ignored};

const TESTS: [(&str, Check); 11] = [
    ("ranks_have_the_bits_of_one_process_in_exact_mode", exact),
    ("gradients_of_several_exchanges_are_exact_too", many),
    ("two_ranks_have_the_losses_of_one_process", losses),
    ("uneven_shares_have_the_bits_and_losses_of_one_process", uneven),
    ("ranks_share_rows_that_stream_from_disk", streamed),
    ("a_run_goes_on_with_another_number_of_ranks", resumed),
    ("parts_of_the_optimizers_state_have_the_bits_of_the_whole", sharded),
    ("a_run_goes_on_with_other_parts_of_the_optimizers_state", sharded_otherwise),
    ("a_killed_rank_ends_all", killed),
    ("a_rank_killed_at_any_instant_loses_nothing_that_was_saved", killed_anywhere),
    ("what_ranks_cannot_share_is_refused", refused),
];

pub fn trials() -> Vec<Trial> {
    let missing = missing();
    TESTS
        .iter()
        .map(|&(name, test)| match missing {
            None => Trial::test(name, test),
            Some(reason) => ignored(name, reason),
        })
        .chain([match Command::new(MPICH).arg("--version").output() {
            Ok(output) if output.status.success() => {
                Trial::test("ranks_of_mpich_have_the_bits_of_one_process", mpich)
            }
            _ => ignored("ranks_of_mpich_have_the_bits_of_one_process", "there is no mpirun.mpich"),
        }])
        .collect()
}

/// The launcher of MPICH where Open MPI's has its usual name.
const MPICH: &str = "mpirun.mpich";

/// More ranks than cores, and as root, as in containers.
const ANYWHERE: [&str; 2] = ["--oversubscribe", "--allow-run-as-root"];

/// Why ranks cannot be started here.
fn missing() -> Option<&'static str> {
    let found = Command::new("mpirun").arg("--version").output();
    let text = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if !text.contains("Open MPI") {
        return Some("there is no mpirun of Open MPI");
    }
    let started = Command::new("mpirun").args(ANYWHERE).args(["-n", "2", "true"]).output();
    match started {
        Ok(output) if output.status.success() => None,
        _ => Some("mpirun cannot start processes here"),
    }
}

/// Breast cancer for two epochs, on the CPU; the number of ranks 0 is without mpirun.
fn command(ranks: usize, out: &Path, arguments: &[&str]) -> Command {
    command_of("mpirun", ranks, out, arguments)
}

fn command_of(launcher: &str, ranks: usize, out: &Path, arguments: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_gridlight");
    let mut command = match ranks {
        0 => Command::new(program),
        _ => {
            let mut command = Command::new(launcher);
            command.args(if launcher == MPICH { &[][..] } else { &ANYWHERE[..] });
            command.args(["-n", &ranks.to_string(), program]);
            command
        }
    };
    let experiment = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/experiments/breast-cancer.toml");
    command.arg("train").arg(experiment).args(["--device", "cpu", "--quiet", "--out"]).arg(out);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(ranks: usize, out: &Path, arguments: &[&str]) -> Result<Output, Failed> {
    Ok(command(ranks, out, arguments).output()?)
}

/// The bytes of the best weights.
fn best(ranks: usize, out: PathBuf, arguments: &[&str]) -> Result<Vec<u8>, Failed> {
    let output = run(ranks, &out, arguments)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(std::fs::read(out.join("best.safetensors"))?)
}

const FOUR: [&str; 3] = ["--exact", "--set", "train.accumulate=4"];

fn exact() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let arguments = [&FOUR[..], &["--epochs", "2"]].concat();
    let bytes = |ranks: usize| best(ranks, directory.path().join(ranks.to_string()), &arguments);
    let one = bytes(0)?;
    assert!(bytes(2)? == one, "2 ranks");
    assert!(bytes(4)? == one, "4 ranks");
    let other = [&arguments[..], &["--seed", "77"]].concat();
    assert!(best(2, directory.path().join("other"), &other)? != one, "another seed has other weights");
    Ok(())
}

/// 380,403 parameters are exchanged in two parts, neither of which three ranks can share equally.
fn many() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let arguments = ["--exact", "--max-steps", "4", "--set", "model.hidden=[600,601]"];
    let split = ["--set", "train.accumulate=6", "--set", "train.batch_size=48"];
    let arguments = [&arguments[..], &split].concat();
    let bytes = |ranks: usize| best(ranks, directory.path().join(ranks.to_string()), &arguments);
    let one = bytes(0)?;
    assert!(bytes(3)? == one, "3 ranks");
    Ok(())
}

/// Losses of the training rows, by epoch.
fn losses_of(ranks: usize, out: PathBuf, arguments: &[&str]) -> Result<Vec<f64>, Failed> {
    best(ranks, out.clone(), &[&["--epochs", "2"], arguments].concat())?;
    let text = std::fs::read_to_string(out.join("metrics.csv"))?;
    let header: Vec<&str> = text.lines().next().unwrap_or_default().split(',').collect();
    let column = header.iter().position(|name| *name == "train_loss").ok_or("no train_loss")?;
    text.lines().skip(1).map(|line| Ok(line.split(',').nth(column).unwrap_or("").parse()?)).collect()
}

/// Process 0 computes three of four micro-batches, or one of four.
fn uneven() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    let arguments = [&FOUR[..], &["--epochs", "2"]].concat();
    let one = best(0, at("one"), &arguments)?;
    for (ranks, shares) in [(2, "[3,1]"), (2, "[1,3]"), (3, "[1,2,1]")] {
        let shares = format!("train.shares={shares}");
        let arguments = [&arguments[..], &["--set", &shares]].concat();
        assert!(best(ranks, at(&shares), &arguments)? == one, "{ranks} ranks, {shares}");
    }
    // Whatever shares are found, exact sums are the same.
    let measured = [&arguments[..], &["--set", "train.measure_shares=true"]].concat();
    assert!(best(2, at("measured"), &measured)? == one, "measured");
    let one = losses_of(0, at("losses"), &["--set", "train.accumulate=4"])?;
    let two = losses_of(2, at("losses of two"), &["--set", "train.shares=[3,1]"])?;
    assert_eq!((one.len(), two.len()), (2, 2));
    for (one, two) in one.iter().zip(two) {
        assert!((one - two).abs() <= 1e-5 * one, "{one} {two}");
    }
    let output = run(2, &at("refused"), &["--set", "train.shares=[1,2,1]"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("train.shares has 3 numbers, for 2 processes"), "{said}");
    Ok(())
}

fn streamed() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let memory = format!(
        "data.memory={{rows=\"disk\",host_mib=0.02,device_mib=0.01,scratch=\"{}\"}}",
        directory.path().display()
    );
    let arguments = [&FOUR[..], &["--epochs", "2", "--set", &memory]].concat();
    let bytes = |ranks: usize| best(ranks, directory.path().join(ranks.to_string()), &arguments);
    assert!(bytes(2)? == bytes(0)?, "2 ranks");
    Ok(())
}

fn losses() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let losses = |ranks: usize, arguments: &[&str]| {
        losses_of(ranks, directory.path().join(ranks.to_string()), arguments)
    };
    // Where the file does not split steps, there are as many micro-batches as ranks.
    let (one, two) = (losses(0, &["--set", "train.accumulate=2"])?, losses(2, &[])?);
    assert_eq!((one.len(), two.len()), (2, 2));
    for (one, two) in one.iter().zip(two) {
        assert!((one - two).abs() <= 1e-5 * one, "{one} {two}");
    }
    Ok(())
}

fn resumed() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    let epochs = [&FOUR[..], &["--epochs", "2"]].concat();
    let whole = best(0, at("whole"), &epochs)?;
    best(4, at("cut"), &[&epochs[..], &["--max-steps", "9"]].concat())?;
    let resumed = best(2, at("cut"), &[&epochs[..], &["--resume"]].concat())?;
    assert!(resumed == whole, "4 ranks, then 2");
    Ok(())
}

/// The best weights and the newest checkpoint, in which is the optimizer's state.
fn saved(ranks: usize, out: &Path, arguments: &[&str]) -> Result<[Vec<u8>; 2], Failed> {
    let weights = best(ranks, out.to_path_buf(), arguments)?;
    let newest = gridlight::train::checkpoint::list(&out.join("checkpoints")).pop().ok_or("no checkpoint")?;
    Ok([weights, std::fs::read(newest.1)?])
}

const RULES: [&str; 3] = [
    "train.optimizer=\"adam\"",
    "train.optimizer={type=\"lamb\",weight_decay=0.1}",
    "train.optimizer={type=\"sgd\",momentum=0.9}",
];

/// Each process keeps one part, on its device or in the host's memory.
fn sharded() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    for (rule, clip) in
        RULES.into_iter().zip(["train.clip_norm=0.1", "train.clip_norm=1", "train.clip_norm=1e9"])
    {
        let at = |name: &str| directory.path().join(format!("{name} {rule:.20}"));
        let arguments =
            ["--exact", "--epochs", "2", "--set", "train.accumulate=6", "--set", "train.batch_size=36"];
        let arguments = [&arguments[..], &["--set", rule, "--set", clip]].concat();
        let one = saved(0, &at("one"), &arguments)?;
        for (ranks, place) in [(2, "sharded"), (3, "sharded"), (2, "host"), (0, "host")] {
            let place = format!("train.optimizer_state=\"{place}\"");
            let arguments = [&arguments[..], &["--set", &place]].concat();
            let found = saved(ranks, &at(&format!("{ranks} {place}")), &arguments)?;
            assert!(found == one, "{ranks} ranks, {place}, {rule}");
        }
    }
    Ok(())
}

fn sharded_otherwise() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    let arguments =
        ["--exact", "--epochs", "2", "--set", "train.accumulate=6", "--set", "train.batch_size=36"];
    let sharded = [&arguments[..], &["--set", "train.optimizer_state=\"sharded\""]].concat();
    let whole = saved(0, &at("whole"), &arguments)?;
    best(3, at("cut"), &[&sharded[..], &["--max-steps", "5"]].concat())?;
    best(2, at("cut"), &[&sharded[..], &["--resume", "--max-steps", "11"]].concat())?;
    let resumed = saved(0, &at("cut"), &[&arguments[..], &["--resume"]].concat())?;
    assert!(resumed == whole, "3 ranks, then 2, then one process");
    let recorded = std::fs::read_to_string(at("cut").join("run.json"))?;
    let found: serde_json::Value = serde_json::from_str(&recorded)?;
    let processes: Vec<_> =
        found["sessions"].as_array().ok_or("no sessions")?.iter().map(|s| &s["processes"]).collect();
    assert_eq!(processes, [&3.into(), &2.into(), &serde_json::Value::Null], "one is not written");
    Ok(())
}

/// Waits for the end of a process, but not for ever.
fn ended(mut child: Child, seconds: u64) -> Result<Output, Failed> {
    let began = Instant::now();
    while child.try_wait()?.is_none() {
        if began.elapsed() > Duration::from_secs(seconds) {
            child.kill()?;
            return Err(format!("still running after {seconds} s").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child.wait_with_output()?)
}

/// Numbers of the processes that are this rank of a run.
fn processes(out: &Path, rank: usize) -> Result<Vec<i32>, Failed> {
    let of_run = format!("--out\0{}\0", out.display());
    let of_rank = format!("OMPI_COMM_WORLD_RANK={rank}\0");
    let found = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let has = |bytes: &[u8], text: &str| String::from_utf8_lossy(bytes).contains(text);
            has(&read("cmdline"), &of_run) && has(&read("environ"), &of_rank)
        });
    Ok(found.collect())
}

/// A rank is killed at random instants (`GRIDLIGHT_KILLED_RANKS` of them); all end, and the run goes on to the bits of one
/// that was not interrupted.
fn killed_anywhere() -> Result<(), Failed> {
    let count = std::env::var("GRIDLIGHT_KILLED_RANKS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let directory = tempfile::tempdir()?;
    let arguments =
        ["--max-steps", "400", "--set", "train.checkpoint_every_steps=10", "--set", "train.epochs=40"];
    let clock = Instant::now();
    let expected = best(2, directory.path().join("whole"), &arguments)?;
    let whole = clock.elapsed().as_millis() as u64;
    for kill in 0..count {
        let out = directory.path().join(kill.to_string());
        let mut command = command(2, &out, &arguments);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        // Threefry is at hand, and the same instants are tried again.
        let [draw, other] = gridlight::base::rng::threefry([7, kill as u32], [0, 0]);
        std::thread::sleep(Duration::from_millis(u64::from(draw) % whole));
        for pid in processes(&out, (other % 2) as usize)? {
            Command::new("kill").args(["-9", &pid.to_string()]).status()?;
        }
        ended(child, 10 + whole / 1000)?;
        let resumed = [&arguments[..], &["--resume"]].concat();
        assert!(best(2, out, &resumed)? == expected, "kill {kill}");
    }
    Ok(())
}

/// The other MPI, whose library is found beside that of Open MPI.
fn mpich() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let arguments = [&FOUR[..], &["--epochs", "2"]].concat();
    let one = best(0, directory.path().join("one"), &arguments)?;
    for ranks in [2, 4] {
        let out = directory.path().join(ranks.to_string());
        let output = command_of(MPICH, ranks, &out, &arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("processes train together"), "{said}");
        assert!(std::fs::read(out.join("best.safetensors"))? == one, "{ranks} ranks");
    }
    Ok(())
}

fn killed() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let out = directory.path().join("run");
    let mut command = command(2, &out, &["--epochs", "100000"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let began = Instant::now();
    while !out.join("best.safetensors").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "training has not begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ranks = processes(&out, 1)?;
    let [rank] = ranks[..] else { return Err(format!("processes of rank 1: {ranks:?}").into()) };
    Command::new("kill").args(["-9", &rank.to_string()]).status()?;
    let output = ended(child, 10)?;
    assert!(!output.status.success());
    Ok(())
}

fn refused() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let out = directory.path().join("run");
    let cases: [(&[&str], &str); 3] = [
        (&["--folds", "3"], "--folds cannot be used with 2 processes"),
        (
            &["--set", "train.accumulate=3", "--set", "train.batch_size=15"],
            "train.accumulate = 3 is not a multiple of the 2 processes",
        ),
        (&["--set", "train.batch_size=31"], "= 31 is not a multiple of train.accumulate = 2"),
    ];
    for (arguments, says) in cases {
        let output = run(2, &out, arguments)?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(says) && text.contains("rank "), "{text}");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(!out.exists(), "nothing is written");
    }
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/experiments/shakespeare.toml");
    let mut command = Command::new("mpirun");
    command.args(ANYWHERE).args(["-n", "2", env!("CARGO_BIN_EXE_gridlight"), "train"]).arg(text);
    let output = command.args(["--device", "cpu", "--out"]).arg(&out).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("[data.text]") && said.contains("run it without mpirun"), "{said}");
    Ok(())
}
