"""Optuna's TPESampler and RandomSampler on the functions of examples/search.rs: the mean over seeds of the least value
found, and its standard error. pip install optuna; then python3 benches/tuning/samplers.py [TRIALS] [SEEDS] beside
cargo run --release --example search -- [TRIALS] [SEEDS]"""

import math
import statistics
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
TRIALS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
SEEDS = int(sys.argv[2]) if len(sys.argv) > 2 else 100


def sphere(trial):
    return sum((trial.suggest_float(f"x{i}", -5, 5) - 1) ** 2 for i in range(5))


def branin(trial):
    x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
    a = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def network(trial):
    rate = trial.suggest_float("rate", 1e-5, 1, log=True)
    width = trial.suggest_int("width", 8, 1024, log=True)
    dropout = trial.suggest_float("dropout", 0, 0.5, step=0.05)
    if trial.suggest_categorical("optimizer", [0, 1]) == 0:
        best, momentum = -3.0, 0.1
    else:
        m = trial.suggest_float("momentum", 0.5, 0.99)
        best, momentum = -1.5 - 5 * max(m - 0.9, 0), 2 * (m - 0.9) ** 2
    return (
        0.3 * (math.log10(rate) - best) ** 2
        + 0.05 * (math.log2(width) - 7) ** 2
        + (dropout - 0.15) ** 2
        + momentum
    )


def trap(trial):
    which = trial.suggest_categorical("choice", list(range(10)))
    depth = abs(trial.suggest_float("x", 0, 1) - 0.3)
    return depth if which == 7 else 0.5 + 0.1 * depth


for function in [sphere, branin, network, trap]:
    for name, sampler in [("Tpe", optuna.samplers.TPESampler), ("Random", optuna.samplers.RandomSampler)]:
        found = []
        for seed in range(SEEDS):
            study = optuna.create_study(sampler=sampler(seed=seed))
            study.optimize(function, n_trials=TRIALS)
            found.append(study.best_value)
        error = statistics.stdev(found) / math.sqrt(SEEDS)
        print(f"{function.__name__} {name} {statistics.mean(found):.5f} ± {error:.5f}", flush=True)
