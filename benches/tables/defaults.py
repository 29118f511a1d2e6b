#!/usr/bin/env python3
"""A table and its target, nothing set, beside gradient boosting, on the tables of `assets/data`.

    python3 benches/tables/defaults.py [--gridlight target/release/gridlight] [--seeds 3] [TABLE ...]

Needs scikit-learn and NumPy. Each table is cut into known rows and test rows as its shipped experiment does
(by time, or every fifth row). Gridlight is given the known rows as a file and the name of the target
(`train known.csv --target NAME`), and makes its own validation part of them. Scikit-learn's
HistGradientBoosting is given the same rows with its early stopping; texts are categories for it, and times
are split into the parts that Gridlight has by default. Both are judged on the test rows: mean absolute error,
or the share of wrong classes.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

DATA = Path(__file__).resolve().parents[2] / "assets" / "data"


def fifth(rows):
    """Every fifth row is test."""
    return [i % 5 != 0 for i in range(len(rows))]


def before(column, time):
    return lambda rows: [row[column] < time for row in rows]


# File, target, columns left out, rows that are known.
TABLES = {
    "traffic": ("traffic/metro_i94_hourly.csv", "traffic_volume", [], before("date_time", "2018-04-01")),
    "electricity": ("energy/electricity_hourly.csv", "load_kw", [], before("date_time", "2014-07-01")),
    "star-grades": ("education/star_grades.csv", "math3", ["read3"], fifth),
    "breast-cancer": ("medical/breast_cancer.csv", "benign", [], fifth),
    "stocks": ("finance/stocks_daily.csv", "AdjClose", [], before("Date", "2011-01-01")),
}


def numbers(column):
    """A column as numbers, or `None`."""
    try:
        return [float(x) if x != "" else np.nan for x in column]
    except ValueError:
        return None


def times(column):
    try:
        return [datetime.fromisoformat(x) for x in column]
    except ValueError:
        return None


def features(rows, names):
    """The matrix for gradient boosting, and which of its columns are categories."""
    columns, categories = [], []
    for name in names:
        column = [row[name] for row in rows]
        if (found := numbers(column)) is not None:
            columns.append(found)
            categories.append(False)
        elif (found := times(column)) is not None:
            parts = [
                lambda t: t.hour,
                lambda t: t.weekday(),
                lambda t: t.month,
                lambda t: t.timetuple().tm_yday,
                lambda t: t.year,
            ]
            for part in parts:
                columns.append([part(t) for t in found])
                categories.append(False)
        else:
            known = {value: i for i, value in enumerate(sorted(set(column)))}
            columns.append([known[value] for value in column])
            categories.append(True)
    return np.array(columns, dtype=float).T, categories


def boosting(rows, known, names, target, classes):
    x, categories = features(rows, names)
    y = np.array([float(row[target]) for row in rows])
    known = np.array(known)
    make = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    kind = {} if classes else {"loss": "squared_error"}
    model = make(categorical_features=categories, early_stopping=True, max_iter=1000, random_state=0, **kind)
    model.fit(x[known], y[known])
    found = model.predict(x[~known])
    wrong = found != y[~known] if classes else np.abs(found - y[~known])
    return float(wrong.mean())


def write(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def gridlight(program, directory, rows, known, target, seed):
    write(directory / "known.csv", [row for row, k in zip(rows, known) if k])
    write(directory / "test.csv", [row for row, k in zip(rows, known) if not k])
    run = directory / f"run-{seed}"
    train = ["train", "known.csv", "--target", target, "--out", str(run), "--seed", str(seed)]
    train += ["--device", "cpu", "--quiet", "--json"]
    done = subprocess.run([program, *train], cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    judge = ["evaluate", str(run), "--data", "test.csv", "--json"]
    found = subprocess.run([program, *judge], cwd=directory, check=True, capture_output=True, text=True)
    metrics = json.loads(found.stdout)["metrics"]
    return 1.0 - metrics["accuracy"] if "accuracy" in metrics else metrics["mae"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gridlight", default="target/release/gridlight")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("tables", nargs="*", choices=[[], *TABLES], default=[])
    options = parser.parse_args()
    program = str(Path(options.gridlight).resolve())
    print(f"{'table':<14} {'boosting':>10} {'Gridlight':>10}  ratio  seeds")
    for name in options.tables or TABLES:
        file, target, without, split = TABLES[name]
        with open(DATA / file, newline="") as opened:
            rows = [row for row in csv.DictReader(opened) if row[target] != ""]
        rows = [{key: value for key, value in row.items() if key not in without} for row in rows]
        known = split(rows)
        names = [key for key in rows[0] if key != target]
        classes = len({row[target] for row in rows}) <= 10
        best = boosting(rows, known, names, target, classes)
        found = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as directory:
                found.append(gridlight(program, Path(directory), rows, known, target, seed))
        mean = float(np.mean(found))
        each = " ".join(f"{error:.4g}" for error in found)
        print(f"{name:<14} {best:>10.4g} {mean:>10.4g} {mean / best:>6.2f}  {each}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
