#!/usr/bin/env python3
"""Takes models of shipped experiments to ONNX, back, and to ONNX again: nothing may change.

Trains an experiment for a few steps and exports it; an experiment of the same data begins from that file
(`[model] from`), makes a step too small to change a bit, and is exported again. ONNX Runtime's outputs of both files, of the
network alone and random inputs, may differ by 1e-5 of their size, and so may both runs' predictions of the test file. Then the
file gets a new last layer, everything else is frozen, and 100 steps are trained: what is frozen must keep every bit, and the
new layer must change.

    pip install onnx==1.21.0 onnxruntime
    tests/long/onnx_round.py [--binary target/release/gridlight] [--device cpu] [--only NAME]
"""

import argparse
import csv
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]

import numpy
import onnxruntime

ROOT = HERE.parents[1]
EXPERIMENTS = ROOT / "assets/experiments"
NAMES = ["traffic", "breast-cancer", "student-grades", "star-grades-tokens", "traffic-1h", "traffic-24h", "energy-24h-tcn",
         "traffic-24h-transformer", "volatility", "digits-cnn", "digits-resnet", "digits-rnn", "digits-vit", "fashion-cnn"]
TOLERANCE, STEPS = 1e-5, 100


def beside(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def toml(value):
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(part)}" for key, part in value.items()) + " }"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def absolute(value):
    """Settings whose paths do not depend on where they lie."""
    if isinstance(value, dict):
        return {key: absolute(part) for key, part in value.items()}
    if isinstance(value, list):
        return [absolute(part) for part in value]
    return str((EXPERIMENTS / value).resolve()) if isinstance(value, str) and value.startswith("../") else value


def written(place, name, experiment, model, train):
    """The experiment with another model, trained by plain gradient descent."""
    kept = {key: part for key, part in experiment["train"].items() if key in ("loss", "batch_size")}
    data = {key: part for key, part in experiment["data"].items() if key != "augment"}
    settings = {"name": name, "seed": 0, "data": data, "model": model, "train": kept | {"optimizer": "sgd"} | train}
    path = place / f"{name}.toml"
    path.write_text("\n".join(f"{key} = {toml(part)}" for key, part in settings.items()) + "\n")
    return path


def tensors(path):
    """The bytes of a safetensors file's tensors by name."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__" and not name.startswith("optimizer."):
            first, last = (8 + length + at for at in entry["data_offsets"])
            found[name] = data[first:last]
    return found


def outputs(path, rows=5):
    """What ONNX Runtime makes of random inputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    draw, feeds = numpy.random.default_rng(1), []
    for value in session.get_inputs():
        shape = [rows if isinstance(n, str) or not n else n for n in value.shape]
        whole = "int64" in value.type
        feeds.append(draw.integers(0, 2, shape) if whole else draw.normal(size=shape).astype(numpy.float32))
    flat = sum(feed.size for feed in feeds if feed.dtype == numpy.float32)
    return session, feeds, flat


def agree(first, second):
    """The largest difference of the outputs of two files; inputs lie in the same order, in other shapes perhaps."""
    one, feeds, _ = outputs(first)
    other = onnxruntime.InferenceSession(str(second))
    names = [value.name for value in one.get_inputs()]
    a = one.run(None, dict(zip(names, feeds)))[0]
    shapes = [[len(feeds[0]) if isinstance(n, str) else n for n in value.shape] for value in other.get_inputs()]
    given = {value.name: feed.reshape(shape) for value, feed, shape in zip(other.get_inputs(), feeds, shapes)}
    b = other.run(None, given)[0]
    return float(abs(a.reshape(b.shape) - b).max() / max(1e-30, abs(a).max()))


def check(binary, device, place, name):
    experiment = absolute(tomllib.loads((EXPERIMENTS / f"{name}.toml").read_text()))
    values = beside("onnx")

    def command(*arguments):
        ended = subprocess.run([str(part) for part in (binary, *arguments)], capture_output=True, text=True, cwd=place)
        assert ended.returncode == 0, ended.stderr.strip()[-500:]
        return ended.stdout

    def train(path, steps, *more):
        run = place / "runs" / path.stem
        command("train", path, "--device", device, "--max-steps", steps, "--out", run, "--quiet", *more)
        return run

    first = train(EXPERIMENTS / f"{name}.toml", 40)
    file, again = place / "first.onnx", place / "second.onnx"
    command("export", first, "--output", file, "--raw")
    known = [tensor["name"] for tensor in json.loads(command("import", file, "--json"))["tensors"]]
    assert known, "it has no tensors"
    trained = [tensor for tensor in known if ".running_" not in tensor]
    layer = lambda tensor: tensor.rsplit(".", 1)[0] + ".*" if "." in tensor else tensor
    frozen = sorted({layer(tensor) for tensor in trained} - {layer(trained[-1])})
    # All but the last tensor, so that statistics of norms keep their values as well.
    more = [tensor for tensor in trained[:-1] if layer(tensor) == layer(trained[-1])]
    settings = {"learning_rate": 1e-30, "freeze": frozen + more}
    second = train(written(place, "second", experiment, {"from": str(file)}, settings), 1)
    command("export", second, "--output", again, "--raw")
    differs = agree(file, again)
    source = values.cases()[name][0]
    tables = []
    for run in (first, second):
        command("predict", run, "--input", source, "--output", place / "out.csv", "--device", device)
        with open(place / "out.csv", newline="") as table:
            tables.append(list(csv.reader(table)))
    numbers = []
    for column in zip(*tables[0]):
        try:
            numbers.append([float(cell) for cell in column[1:]])
        except ValueError:
            numbers.append(None)
    for at, column in enumerate(zip(*tables[1])):
        if numbers[at] is None:
            assert column == tuple(row[at] for row in tables[0]), f"column {column[0]} is another"
        else:
            differs = max(differs, values.difference([float(cell) for cell in column[1:]], numbers[at]))
    assert differs <= TOLERANCE, f"outputs differ by {differs:.1e}"
    settings = {"learning_rate": 0.01, "freeze": frozen, "checkpoint_every_steps": STEPS}
    path = written(place, "third", experiment, {"from": str(file), "head": "new"}, settings)
    third = train(path, STEPS, "--set", "train.epochs=1000")
    before, after = tensors(first / "best.safetensors"), tensors(third / f"checkpoints/step-{STEPS}.safetensors")
    kept = [tensor for tensor in after if not tensor.startswith("head.")]
    assert kept and all(tensor in known for tensor in kept), f"{kept} are not of {known}"
    # Recurrent layers have their gates in another order in ONNX; the others are compared with the first run's.
    given = onnx_tensors(file)
    changed = [tensor for tensor in kept if given.get(tensor, before.get(tensor)) != after[tensor]]
    changed = [tensor for tensor in changed if before.get(tensor) != after[tensor]]
    assert not changed, f"changed: {changed}"
    assert any(after["head.bias"]), "the new layer did not change"
    return f"outputs and predictions differ by {differs:.1e}; {len(kept)} frozen tensors keep all bits over {STEPS} steps"


def onnx_tensors(path):
    """The bytes of a file's tensors of numbers by name."""
    import onnx

    found = onnx.load(path).graph.initializer
    return {tensor.name: onnx.numpy_helper.to_array(tensor).tobytes() for tensor in found}


def main():
    sys.stdout.reconfigure(line_buffering=True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/release/gridlight", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    good = total = 0
    for name in NAMES:
        if arguments.only not in name:
            continue
        total += 1
        with tempfile.TemporaryDirectory() as place:
            try:
                print(f"ok   {name}: {check(arguments.binary.resolve(), arguments.device, pathlib.Path(place), name)}")
                good += 1
            except AssertionError as error:
                print(f"BAD  {name}: {error}")
    print(f"{good} of {total} models come back as they went")
    sys.exit(good != total or not total)


if __name__ == "__main__":
    main()
