"""Validation RMSE that searches of student-grades find: TPE with ASHA with N and 2 N trials, TPE alone with N, random
search with N and 2 N, and Optuna's TPESampler with N, which calls `gridlight train`. Mean over seeds, with the epochs trained.
pip install optuna; python3 benches/tuning/students.py --binary target/release/gridlight [--trials 20] [--seeds 5]
[--epochs 20]"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", required=True)
arguments.add_argument("--trials", type=int, default=20)
arguments.add_argument("--seeds", type=int, default=5)
arguments.add_argument("--epochs", type=int, default=20)
arguments.add_argument("--optuna", action="store_true", help="Optuna too, if it is installed")
given = arguments.parse_args()
ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = ROOT / "assets/experiments/student-grades.toml"
STUDY = """name = "students"
experiment = "{experiment}"
sampler = "{sampler}"
trials = {trials}
seed = {seed}
metric = "rmse"
{scheduler}
[search]
"train.learning_rate" = {{ log = [1e-4, 1e-1] }}
"train.batch_size" = {{ choice = [32, 64, 128, 256] }}
"model.hidden" = {{ choice = [[16], [64], [64, 32], [128, 64]] }}
"model.dropout" = {{ uniform = [0.0, 0.5], step = 0.05 }}
"train.optimizer.type" = {{ choice = ["adam", "sgd"] }}
"train.optimizer.momentum" = {{ uniform = [0.5, 0.99], when = {{ "train.optimizer.type" = "sgd" }} }}
"""


def events(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 3:
        return None
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def own(folder, sampler, trials, seed, scheduler=""):
    path = Path(folder) / "study.toml"
    text = STUDY.format(experiment=EXPERIMENT, sampler=sampler, trials=trials, seed=seed, scheduler=scheduler)
    path.write_text(text)
    out = Path(folder) / f"{sampler}-{seed}-{bool(scheduler)}"
    found = events([given.binary, "tune", path, "--device", "cpu", "--json", "--out", out,
                    "--set", f"train.epochs={given.epochs}"])
    epochs = {}
    for event in found:
        if event["event"] == "trial":
            epochs[event["trial"]] = max(epochs.get(event["trial"], 0), event["epochs"])
    return found[-1]["best"]["value"], sum(epochs.values())


def theirs(folder, trials, seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    epochs = 0

    def objective(trial):
        nonlocal epochs
        hidden = ["[16]", "[64]", "[64, 32]", "[128, 64]"]
        sets = {
            "train.learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "train.batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
            "model.hidden": trial.suggest_categorical("hidden", hidden),
            "model.dropout": trial.suggest_float("dropout", 0.0, 0.5, step=0.05),
            "train.optimizer.type": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
        }
        if sets["train.optimizer.type"] == "sgd":
            sets["train.optimizer.momentum"] = trial.suggest_float("momentum", 0.5, 0.99)
        command = [given.binary, "train", EXPERIMENT, "--device", "cpu", "--json", "--quiet",
                   "--out", Path(folder) / f"optuna-{seed}-{trial.number}"]
        for key, value in {"train.epochs": given.epochs, **sets}.items():
            command += ["--set", f"{key}={value}"]
        found = events(command)
        if found is None:
            raise optuna.TrialPruned
        epochs += found[-1]["epochs"]
        return found[-1]["best"]["rmse"]

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return study.best_value, epochs


ASHA = '[scheduler]\ntype = "asha"\nreduction = 3\nmin_epochs = 2\n'
N = given.trials
SEARCHES = {
    f"tpe, asha, {N} trials": lambda folder, seed: own(folder, "tpe", N, seed, ASHA),
    f"tpe, asha, {2 * N} trials": lambda folder, seed: own(folder, "tpe", 2 * N, seed, ASHA),
    f"tpe, {N} trials": lambda folder, seed: own(folder, "tpe", N, seed),
    f"random, {N} trials": lambda folder, seed: own(folder, "random", N, seed),
    f"random, {2 * N} trials": lambda folder, seed: own(folder, "random", 2 * N, seed),
}
if given.optuna:
    SEARCHES[f"Optuna's TPESampler, {N} trials"] = lambda folder, seed: theirs(folder, N, seed)
for name, search in SEARCHES.items():
    started = time.time()
    found, epochs = [], 0
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            value, trained = search(folder, seed)
        found.append(value)
        epochs += trained
    spread = statistics.stdev(found) if len(found) > 1 else 0.0
    values = ", ".join(f"{value:.3f}" for value in found)
    seconds = (time.time() - started) / given.seeds
    print(f"{name:36} {statistics.mean(found):.3f} ± {spread:.3f}  {epochs / given.seeds:7.0f} epochs "
          f"{seconds:6.1f} s  [{values}]", flush=True)
