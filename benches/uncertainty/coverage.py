#!/usr/bin/env python3
"""Measures how often intervals and sets of 90 % hold on the test part of the shipped experiments.

    python3 benches/uncertainty/coverage.py [--gridlight target/release/gridlight] [--seeds 3] [--runs DIR] [NAME ...]

Needs nothing but Python. Trains each experiment (breast-cancer: its five folds) with the seeds 0, 1, 2 on the CPU, unless
the folder of runs has it, and evaluates it with `--coverage 0.9`. Prints for each the coverage of each seed, the mean, the
deviation that chance alone allows a single seed, that of the beta-binomial distribution of exchangeable rows (neighbouring
windows of a series are alike, so theirs is larger), and the mean width or number of classes. Exits with 1 if a mean is
more than 1.5 points from 90 %.
"""
import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLES = ["student-grades", "star-grades-tokens", "traffic", "breast-cancer", "digits-cnn", "digits-rnn", "fashion-cnn"]
SERIES = ["traffic-window", "traffic-1h", "traffic-24h", "electricity-1h", "electricity-24h", "volatility"]
LEVEL, BAR = 0.9, 0.015


def chance(calibration, test):
    """The deviation of the coverage of `test` rows with `calibration` scores: Vovk 2012, beta, and then binomial."""
    a = math.ceil((calibration + 1) * LEVEL)
    b = calibration + 1 - a
    mean, total = a / (a + b), a + b
    return math.sqrt(mean * (1 - mean) * (total + test) / (test * (total + 1)))


def measure(program, runs, name, seed, fold):
    out = runs / f"{name}{'' if fold is None else fold}-{seed}"
    if not (out / "report.html").exists():
        command = [program, "train", ROOT / f"assets/experiments/{name}.toml", "--seed", seed, "--out", out,
                   "--device", "cpu", "--quiet"]
        command += [] if fold is None else ["--set", f"data.split.fold={fold}"]
        subprocess.run([str(c) for c in command], check=True, capture_output=True)
    command = [program, "evaluate", out, "--coverage", LEVEL, "--device", "cpu", "--json"]
    found = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gridlight", default="target/release/gridlight")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", default="runs/coverage")
    parser.add_argument("names", nargs="*", default=[])
    given = parser.parse_args()
    runs, far = Path(given.runs), []
    print("| experiment | calibration / test rows | coverage by seed, % | mean | chance | width or classes | groups |")
    print("|---|---|---|---:|---:|---:|---|")
    for name in given.names or TABLES + SERIES:
        folds = range(5) if name == "breast-cancer" else [None]
        seeds = []
        for seed in range(given.seeds):
            found = [measure(given.gridlight, runs, name, seed, fold) for fold in folds]
            rows = sum(f["samples"] for f in found)
            covered = sum(f["samples"] * f["conformal"]["coverage"] for f in found) / rows
            seeds.append((covered, found))
        every = [f for _, found in seeds for f in found]
        size = [f["conformal"].get("mean_width", f["conformal"].get("mean_size")) for f in every]
        groups = [g["coverage"] for f in every for g in f["conformal"]["by_group"]]
        mean = sum(covered for covered, _ in seeds) / len(seeds)
        own = every[0]["conformal"]["calibration_rows"], every[0]["samples"]
        parts = ", ".join(f"{100 * covered:.1f}" for covered, _ in seeds)
        deviation = chance(*own) / math.sqrt(len(folds))
        print(f"| `{name}` | {own[0]} / {own[1]} | {parts} | {100 * mean:.1f} | {100 * deviation:.1f} "
              f"| {sum(size) / len(size):.4g} | {100 * min(groups):.0f}-{100 * max(groups):.0f} |", flush=True)
        if abs(mean - LEVEL) > BAR:
            far.append(name)
    if far:
        sys.exit(f"more than {100 * BAR} points from {100 * LEVEL} %: {', '.join(far)}")


if __name__ == "__main__":
    main()
