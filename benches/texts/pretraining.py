"""What lines without labels are worth: `plays-lines` from nothing and from what `plays-masked` learned, over seeds and learning
rates. Both sides take the learning rate that the validation lines prefer, on average over the seeds.

usage: python3 benches/texts/pretraining.py --binary target/release/gridlight [--seeds 3] [--rates 3e-4,1e-3,3e-3]
       [--set KEY=VALUE ...]   of the pretraining   [--tune KEY=VALUE ...]   of both sides
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", required=True)
arguments.add_argument("--seeds", type=int, default=3)
arguments.add_argument("--rates", default="3e-4,1e-3,3e-3")
arguments.add_argument("--set", nargs="*", default=[])
arguments.add_argument("--tune", nargs="*", default=[])
arguments.add_argument("--out", help="keep the runs here")
given = arguments.parse_args()
EXPERIMENTS = Path(__file__).resolve().parents[2] / "assets/experiments"


def gridlight(*words):
    done = subprocess.run([given.binary, *map(str, words), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def sets(settings):
    return [word for setting in settings for word in ("--set", setting)]


def train(experiment, out, seed, settings, *more):
    gridlight("train", EXPERIMENTS / f"{experiment}.toml", "--device", "cpu", "--seed", seed, "--out", out, *sets(settings), *more)
    return {part: gridlight("evaluate", out, "--split", part, "--device", "cpu")[-1]["metrics"] for part in ["validation", "test"]}


def shown(metrics):
    return ", ".join(f"{part} log loss {one['log_loss']:.4f}, accuracy {one['accuracy']:.4f}" for part, one in metrics.items())


with tempfile.TemporaryDirectory() as folder:
    folder = Path(given.out or folder)
    found = {}
    for seed in range(given.seeds):
        begun = time.time()
        masked = folder / f"masked-{seed}"
        learnt = train("plays-masked", masked, seed, given.set)["validation"]
        print(f"seed {seed}: pretrained in {time.time() - begun:.0f} s, validation {learnt}", flush=True)
        for rate in given.rates.split(","):
            for start in ["nothing", "masked"]:
                more = ["--init", masked / "best.safetensors", "--init-partial"] if start == "masked" else []
                out = folder / f"{start}-{rate}-{seed}"
                metrics = train("plays-lines", out, seed, [f"train.learning_rate={rate}", *given.tune], *more)
                found.setdefault((start, rate), []).append(metrics)
                print(f"  {start:8} {rate:>6}: {shown(metrics)}", flush=True)
    for start in ["nothing", "masked"]:
        mean = {
            rate: statistics.mean(one["validation"]["log_loss"] for one in all)
            for (side, rate), all in found.items()
            if side == start
        }
        best = min(mean, key=mean.get)
        test = [one["test"]["accuracy"] for one in found[start, best]]
        print(f"from {start}: learning rate {best}, test accuracy {statistics.mean(test):.4f} of {[round(one, 4) for one in test]}")
