#!/usr/bin/env python3
"""Steps per second of the family `cnn` on pictures as large and as many as MNIST's: with rows on the device, in the host's
memory and on disk; with one process, and with two of one thread each, which both keep the optimizer's state or each a part of
it; and how long the same gradients take in a bare all-reduce.

    pip install numpy mpi4py     (mpi4py only for the bare all-reduce)
    python3 benches/scale/steps.py [--binary target/release/gridlight] [--rounds 5] [--steps 400] [--device cpu]

Every round runs each case once, in turn; the table has the medians. Steps are those of `steps_per_second`, which leaves out
validation.
"""

import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy

MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2"]
BARE = """
import sys, time, numpy
from mpi4py import MPI
words = numpy.ones(int(sys.argv[1]), numpy.float32)
out = numpy.empty_like(words)
for _ in range(20): MPI.COMM_WORLD.Allreduce(words, out)
began = time.perf_counter()
for _ in range(200): MPI.COMM_WORLD.Allreduce(words, out)
if MPI.COMM_WORLD.rank == 0: print((time.perf_counter() - began) / 200)
"""


def write(place, name, values):
    """An IDX file of bytes."""
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + b"".join(struct.pack(">I", n) for n in values.shape)
    (place / name).write_bytes(header + values.tobytes())


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--binary", default="target/release/gridlight")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--steps", type=int, default=400)
    p.add_argument("--device", default="cpu")
    args = p.parse_args()
    binary = str(pathlib.Path(args.binary).resolve())
    draw = numpy.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        write(place, "train-images-idx3-ubyte", draw.integers(0, 256, (60_000, 28, 28), numpy.uint8))
        write(place, "train-labels-idx1-ubyte", draw.integers(0, 10, 60_000).astype(numpy.uint8))
        (place / "m.toml").write_text(
            'name = "pictures"\n[data]\nsource = "train-images-idx3-ubyte"\n[model]\nfamily = "cnn"\n[train]\nbatch_size = 64\naccumulate = 2\n'
        )

        def train(case, launcher=(), threads=None, sets=()):
            command = [*launcher, binary, "train", "m.toml", "--device", args.device, "--max-steps", str(args.steps), "--json"]
            for setting in ('data.split={ by = "random", validation = 0.01, test = 0.01 }', *sets):
                command += ["--set", setting]
            command += ["--out", str(place / "runs" / f"{case}-{len(list(place.glob('runs/*')))}".replace(" ", "-"))]
            own = {**os.environ, **({"GRIDLIGHT_THREADS": str(threads)} if threads else {})}
            ended = subprocess.run(command, cwd=place, env=own, capture_output=True, text=True)
            if ended.returncode:
                sys.exit(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stderr}")
            events = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
            start = next(e for e in events if e["event"] == "start")
            end = next(e for e in events if e["event"] == "end")
            return end["steps_per_second"], start["parameters"]

        memory = lambda rows: [f'data.memory.rows="{rows}"']
        cases = {
            "rows on the device": lambda name: train(name, sets=memory("device")),
            "rows in the host's memory": lambda name: train(name, sets=memory("host")),
            "rows on disk": lambda name: train(name, sets=memory("disk")),
            "one process, one thread": lambda name: train(name, threads=1),
            "two processes, a thread each": lambda name: train(name, MPIRUN, 1),
            "two processes, each a part of the optimizer's state": lambda name: train(
                name, MPIRUN, 1, ['train.optimizer_state="sharded"']
            ),
        }
        found = {name: [] for name in cases}
        parameters = 0
        for number in range(args.rounds):
            # There and back, so that what a machine does after another case favours none.
            for name, case in list(cases.items())[:: -1 if number % 2 else 1]:
                speed, parameters = case(name)
                found[name].append(speed)
        medians = {name: statistics.median(speeds) for name, speeds in found.items()}
        print("| | steps/s | ratio |\n|---|---:|---:|")
        for name, speed in medians.items():
            base = "one process, one thread" if "process" in name else "rows on the device"
            print(f"| {name} | {speed:.1f} | {speed / medians[base]:.2f} |")
        bare = [*MPIRUN, sys.executable, "-c", BARE, str(parameters)]
        bare = subprocess.run(bare, capture_output=True, text=True, env={**os.environ, "MPI4PY_MPIABI": "openmpi"})
        if bare.returncode:
            print(f"\nthe bare all-reduce was not measured: {bare.stderr.strip()[:300]}")
        else:
            print(f"\nbare all-reduce of {parameters:,} numbers between two processes: {1e3 * float(bare.stdout):.2f} ms")
        command = [binary, "plan", "m.toml", "--device", args.device, "--ranks", "2", "--network", "10", "--json"]
        planned = subprocess.run(command, cwd=place, capture_output=True, text=True, env={**os.environ, "GRIDLIGHT_THREADS": "1"})
        one, two = json.loads(planned.stdout)["ranks"]
        measured = medians["two processes, a thread each"] / medians["one process, one thread"]
        print(f"speed-up of two processes: {two['speed_up']:.2f} by `plan --ranks 2 --network 10`, {measured:.2f} measured")


main()
