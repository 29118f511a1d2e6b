#!/usr/bin/env python3
"""Checks that exported ONNX models are valid and compute what `gridlight predict` does.

Trains every shipped experiment, and some of layers and columns that these do not have, for a few steps, exports it,
checks the file with ONNX's checker and full shape inference, feeds ONNX Runtime with raw values read from the data
files, in batches of 1, 7 and 64 rows, and compares all rows of the file that has the test part. Numbers may differ by 1e-5 of the larger of their own size and the root
mean square of their column; labels may not differ. A network that amplifies rounding, so that ONNX Runtime differs from itself
without its optimisations by more than half of this, may differ by twice as much as ONNX Runtime does; no shipped experiment needs it.

    pip install onnx==1.21.0 onnxruntime tokenizers
    tests/long/onnx.py [--binary target/release/gridlight] [--steps 40] [--only NAME] [--runs DIRECTORY]
"""

import argparse
import csv
import math
import pathlib
import subprocess
import sys
import tempfile

# This file's folder comes first in the path, and this file has the name of a package.
HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]

import numpy
import onnx
import onnxruntime

# After the package, which is known from now on.
sys.path.append(str(HERE))
from onnx_cases import more_cases
from onnx_values import BATCH, ROOT, cases, codes, entry, lines, noise, uniform

# Sequences of a stream of texts at most, and streams.
ROWS_OF_A_STREAM, STREAMS = 16, 32
TOLERANCE = 1e-5


def run(session, feeds, batch):
    """The outputs by name, of all rows."""
    names = [output.name for output in session.get_outputs()]
    rows = max(len(feed) for name, feed in feeds.items() if name != "noise")
    found = []
    for at in range(0, rows, batch):
        part = {n: f[:, at : at + batch] if n == "noise" else f[at : at + batch] for n, f in feeds.items()}
        found.append(session.run(names, part))
    return {name: numpy.concatenate([part[at] for part in found]) for at, name in enumerate(names)}


def difference(found, expected):
    """The largest difference of two columns, relative to their size."""
    found, expected = (numpy.asarray(x, numpy.float64).reshape(len(x), -1) for x in (found, expected))
    if found.shape != expected.shape or not numpy.isfinite(found).all():
        return math.inf
    typical = numpy.sqrt((expected**2).mean(0, keepdims=True))
    return float((abs(found - expected) / numpy.maximum(abs(expected), numpy.maximum(typical, 1e-30))).max())


def compare(outputs, path):
    """The largest difference between a model's outputs and a table of predictions, or an array of samples."""
    if "drawn" in outputs:
        # Pixels of the same place may hardly differ from 0.
        found, expected = outputs["drawn"], numpy.load(path)
        return float(abs(found - expected).max() / abs(expected).max())
    with open(path, newline="") as file:
        title, *lines = csv.reader(file)
    columns = {name: [line[at] for line in lines] for at, name in enumerate(title)}
    as_numbers = lambda names: numpy.array([[float(x) for x in columns[name]] for name in names]).T
    if "label" in outputs:
        probabilities = as_numbers([name for name in title if name.startswith("probability ")])
        worst = difference(outputs["probabilities"], probabilities)
        target = title[title.index(next(n for n in title if n.startswith("probability "))) - 1]
        # Where two classes are as likely, either may come first.
        top = numpy.sort(probabilities, 1)
        wrong = [a != b and t[-1] - t[-2] > 1e-6 for a, b, t in zip(outputs["label"], columns[target], top)]
        return math.inf if any(wrong) else worst
    if "anomaly" in outputs:
        codes = as_numbers([name for name in title if name.startswith("code ")])
        return max(difference(outputs["anomaly"], as_numbers(["anomaly"])), difference(outputs["latent"], codes))
    if outputs["prediction"].ndim == 4:
        # Images, of which the table has a summary.
        images = outputs["prediction"].reshape(len(lines), -1)
        summary = numpy.stack([images.mean(1, dtype=numpy.float64), images.min(1), images.max(1)], 1)
        return difference(summary, as_numbers(["mean", "least", "most"]))
    return difference(outputs["prediction"], as_numbers(title[-outputs["prediction"].shape[1] :]))


def texts(session, model, path, predictions, length):
    """Reads a text as predictions do, in streams, and compares the nats of each sequence."""
    vocabulary = entry(model, "vocabulary")
    places = {character: at + 1 for at, character in enumerate(vocabulary)}
    symbols = numpy.array([places.get(c, 0) for c in path.read_text()], numpy.int64)
    rows = -(-(len(symbols) - 1) // length)
    streams = max(1, min(rows // ROWS_OF_A_STREAM, STREAMS))
    steps = -(-rows // streams)
    padded = numpy.zeros(streams * steps * length + 1, numpy.int64)
    padded[: len(symbols)] = symbols
    sequences = padded[:-1].reshape(streams, steps, length)
    following = padded[1:].reshape(streams, steps, length)
    inputs = [value for value in session.get_inputs() if value.name != "tokens"]
    states = {value.name: numpy.zeros((streams, value.shape[1]), numpy.float32) for value in inputs}
    nats = numpy.zeros(sequences.shape)
    for step in range(steps):
        names = ["logits", *(f"next {name}" for name in states)]
        logits, *after = session.run(names, {"tokens": sequences[:, step], **states})
        states = dict(zip(states, after))
        logits = logits.astype(numpy.float64)
        top = logits.max(-1, keepdims=True)
        logs = logits - top - numpy.log(numpy.exp(logits - top).sum(-1, keepdims=True))
        nats[:, step] = -numpy.take_along_axis(logs, following[:, step][..., None], -1)[..., 0]
    flat = nats.reshape(-1)[: len(symbols) - 1]
    found = [flat[at : at + length].mean() for at in range(0, len(flat), length)]
    with open(predictions, newline="") as file:
        return difference(found, [float(line["nats"]) for line in csv.DictReader(file)])


def masked(session, model, path, predictions, batch):
    """Hides tokens as evaluations do, and compares what is found of them."""
    given = lines(path, model)
    known = model.graph.output[0].type.tensor_type.shape.dim[2].dim_value
    rows, length = given["tokens"].shape
    with open(predictions, newline="") as file:
        expected = list(csv.DictReader(file))
    found, right = [], 0
    for step, at in enumerate(range(0, rows, BATCH)):
        tokens, count = given["tokens"][at : at + BATCH], given["length"][at : at + BATCH]
        drawn, other = (uniform(stream, step, (min(rows, BATCH), length))[: len(tokens)] for stream in (12, 13))
        drawn = numpy.where(numpy.arange(length) < count[:, None], drawn, 1)
        other = 1 + (other * numpy.float32(known - 1)).astype(numpy.int64)
        read = numpy.where(drawn < 0.12, known, numpy.where(drawn < 0.135, other, tokens))
        logits = run(session, {"tokens": read, "length": count}, batch)["logits"].astype(numpy.float64)
        logits -= logits.max(-1, keepdims=True)
        own = numpy.take_along_axis(logits, tokens[..., None], -1)[..., 0]
        nats, chosen = numpy.log(numpy.exp(logits).sum(-1)) - own, drawn < 0.15
        hidden = chosen.sum(1)
        assert [int(row["hidden"]) for row in expected[at : at + BATCH]] == hidden.tolist(), "other tokens are hidden"
        # Where two tokens are as likely, either may come first.
        right += abs(((own == 0) & chosen).sum() - sum(int(row["right"]) for row in expected[at : at + BATCH]))
        found += ((nats * chosen).sum(1) / numpy.maximum(hidden, 1)).tolist()
    assert right <= rows / 1000, f"{right} tokens more or fewer are right"
    return difference(found, [float(row["nats"]) for row in expected])


def check(name, experiment, source, values, asked, directory):
    """Trains, exports and compares an experiment; the largest difference of each batch size."""
    run_directory = pathlib.Path(asked.runs or directory) / name
    command = lambda *more: subprocess.run([asked.binary, *map(str, more)], check=True, capture_output=True)
    if not run_directory.exists():
        command("train", experiment, "--device", "cpu", "--max-steps", asked.steps, "--out", run_directory)
    path = pathlib.Path(directory) / f"{name}.onnx"
    command("export", run_directory, "--output", path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    if values is None:
        characters = source.read_text()
        source = pathlib.Path(directory) / "part.txt"
        source.write_text(characters[-len(characters) // 10 :])
    predictions = pathlib.Path(directory) / f"{name}-predicted.csv"
    if values == "codes":
        predictions = predictions.with_suffix(".npy")
        command("sample", run_directory, "--count", 65, "--seed", 3, "--output", predictions, "--device", "cpu")
    else:
        command("predict", run_directory, "--input", source, "--output", predictions, "--device", "cpu")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    if values is None:
        length = session.get_inputs()[0].shape[1]
        length = length if isinstance(length, int) else 64
        return {"streams": texts(session, model, source, predictions, length)}
    if values == "masked":
        return {batch: masked(session, model, source, predictions, batch) for batch in [64, 7]}
    feeds = codes(model) if values == "codes" else values(model)
    if "noise" in [value.name for value in model.graph.input]:
        rows = max(len(feed) for feed in feeds.values())
        latent = next(v.shape[-1] for v in session.get_overridable_initializers() if v.name == "noise")
        feeds["noise"] = noise(rows, latent)
    found = {batch: compare(run(session, feeds, batch), predictions) for batch in [64, 7, 1]}
    if TOLERANCE < max(found.values()) < math.inf:
        # How far ONNX Runtime is from itself where it computes the same in another order: what is rounding here.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        plain = run(onnxruntime.InferenceSession(str(path), options), feeds, 64)
        own = run(session, feeds, 64)
        numbers = next(name for name in own if own[name].dtype.kind == "f")
        found["itself"] = difference(plain[numbers], own[numbers])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default=str(ROOT / "target/release/gridlight"), help="the program to check")
    parser.add_argument("--steps", type=int, default=40, help="training steps of each experiment")
    parser.add_argument("--only", help="one experiment")
    parser.add_argument("--runs", help="directory of runs that are there already, or are to be kept")
    asked = parser.parse_args()
    shipped = sorted(path.stem for path in (ROOT / "assets/experiments").glob("*.toml"))
    failed = []
    with tempfile.TemporaryDirectory(prefix="gridlight-onnx-") as directory:
        known = {name: (ROOT / f"assets/experiments/{name}.toml", *case) for name, case in cases().items()}
        for name, (text, *case) in more_cases(pathlib.Path(directory)).items():
            experiment = pathlib.Path(directory) / f"{name}.toml"
            experiment.write_text(text)
            known[name] = (experiment, *case)
        for name in [asked.only] if asked.only else sorted({*shipped, *known}):
            try:
                found = check(name, *known[name], asked, directory)
            except Exception as error:
                detail = getattr(error, "stderr", b"") or b""
                print(f"{name:16} FAILED {type(error).__name__}: {error} {detail.decode()[-300:]}", flush=True)
                failed.append(name)
                continue
            rounding = found.get("itself", 0.0)
            worst = max(value for batch, value in found.items() if batch != "itself")
            tolerance = max(TOLERANCE, 2 * rounding)
            shown = "  ".join(f"{batch}: {value:.1e}" for batch, value in found.items())
            print(f"{name:16} {'ok    ' if worst <= tolerance else 'FAILED'} {shown}", flush=True)
            failed += [name] if worst > tolerance else []
    print(f"{len(failed)} failed" if failed else "all agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
