#!/usr/bin/env python3
"""Runs ONNX's own tests of single operators through `gridlight import`.

Every test of `onnx/backend/test/data/node` has a model, its inputs and its outputs. Each model either gives these outputs
(within a thousandth of their size, as ONNX's own runner asks, or --tolerance), or is refused by name; none may be wrong,
nor end in another way. Prints the numbers, and what was refused by operator.

    pip install onnx==1.21.0
    tests/long/onnx_nodes.py [--binary target/debug/gridlight] [--device cpu] [--only TEXT] [--every 1] [--list]
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]

import numpy
import onnx
from onnx import numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Errors that are for what the engine does not have; anything else is a bug.
REFUSED = 2


def tensor(path):
    proto = onnx.TensorProto()
    proto.ParseFromString(path.read_bytes())
    array = numpy_helper.to_array(proto)
    return array


def cell(x):
    if isinstance(x, (bool, numpy.bool_)):
        return bool(x)
    x = float(x)
    return x if numpy.isfinite(x) else str(x).replace("nan", "NaN")


def as_json(array):
    return {"shape": list(array.shape), "data": [cell(x) for x in numpy.asarray(array).reshape(-1).tolist()]}


def as_array(found):
    data = [float(x) for x in found["data"]]
    return numpy.array(data, numpy.float64).reshape(found["shape"])


def case(directory, arguments):
    """`passed`, or `refused`, `wrong`, `broken` with the reason."""
    model = onnx.load(directory / "model.onnx")
    tensors = {initializer.name for initializer in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in tensors]
    outputs = [value.name for value in model.graph.output]
    for data in sorted(directory.glob("test_data_set_*")):
        try:
            inputs = [tensor(data / f"input_{at}.pb") for at in range(len(names))]
            expected = [tensor(data / f"output_{at}.pb") for at in range(len(outputs))]
            given = json.dumps({name: as_json(array) for name, array in zip(names, inputs)})
        except Exception:
            return "refused", "inputs: no tensors of numbers"
        with tempfile.TemporaryDirectory() as place:
            file, result = pathlib.Path(place) / "in.json", pathlib.Path(place) / "out.json"
            file.write_text(given)
            command = [arguments.binary, "import", directory / "model.onnx", "--inputs", file, "--output", result,
                       "--device", arguments.device]
            try:
                run = subprocess.run(command, capture_output=True, text=True, timeout=60)
            except subprocess.TimeoutExpired:
                return "broken", "no end within 60 s"
            message = next((line for line in run.stderr.splitlines() if line.startswith("error: ")), run.stderr)
            if run.returncode == REFUSED:
                return "refused", message
            if run.returncode != 0:
                return "broken", f"exit code {run.returncode}: {message}"
            found = json.loads(result.read_text())
        for name, wanted in zip(outputs, expected):
            got = as_array(found[name])
            if got.shape != wanted.shape:
                return "wrong", f"{name} has the shape {got.shape}, not {wanted.shape}"
            wanted = wanted.astype(numpy.float64)
            if not numpy.allclose(got, wanted, rtol=arguments.tolerance, atol=1e-6, equal_nan=True):
                with numpy.errstate(invalid="ignore"):
                    worst = numpy.nanmax(numpy.abs(got - wanted))
                return "wrong", f"{name} differs by up to {worst:.3g}"
    return "passed", ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/debug/gridlight")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--list", action="store_true", help="print every test that was refused")
    arguments = parser.parse_args()
    root = pathlib.Path(onnx.__file__).parent / "backend/test/data/node"
    directories = [d for d in sorted(root.iterdir()) if arguments.only in d.name and (d / "model.onnx").exists()]
    directories = directories[:: arguments.every]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda d: case(d, arguments), directories))
    counts = collections.Counter(kind for kind, _ in results)
    reasons, passed = collections.Counter(), set()
    for directory, (kind, reason) in zip(directories, results):
        ops = {node.op_type for node in onnx.load(directory / "model.onnx").graph.node}
        if kind == "passed":
            passed |= ops
        if kind == "refused":
            reasons[", ".join(sorted(ops))[:60]] += 1
            if arguments.list:
                print(f"refused {directory.name}: {reason[:300]}")
        if kind in ("wrong", "broken"):
            print(f"{kind} {directory.name}: {reason[:400]}")
    print(f"operators with a test that passed: {len(passed)}: {' '.join(sorted(passed))}")
    print("refused, by the operators of the test:", "; ".join(f"{op} {n}" for op, n in reasons.most_common(60)))
    print(f"{len(results)} tests on {arguments.device}: " + ", ".join(f"{counts[k]} {k}" for k in
                                                               ("passed", "refused", "wrong", "broken")))
    sys.exit(1 if counts["wrong"] + counts["broken"] else 0)


main()
