"""Shared by the long checks: a small experiment, running the program, and the contents of a finished run."""

import argparse
import os
import pathlib
import random
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments(description, **options):
    """Parses the command line of a check; `options` maps integer options to their defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", default=str(ROOT / "target/release/gridlight"), help="the program to check")
    parser.add_argument("--device", default="cpu", help="cpu, gpu or gpu:N")
    for name, value in options.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


class Place:
    """A directory with a table and an experiment: 16 steps per epoch for the default 430 rows."""

    def __init__(self, binary, device, train, hidden="[16]", rows=430):
        self.binary, self.device = str(pathlib.Path(binary).resolve()), device
        self.directory = tempfile.TemporaryDirectory(prefix="gridlight-check-")
        self.path = pathlib.Path(self.directory.name)
        draw = random.Random(1)
        lines = ["x1,x2,x3,y"]
        for _ in range(rows):
            x = [draw.gauss(0, 1) for _ in range(3)]
            y = 3 * x[0] - 2 * x[1] + x[0] * x[1] + draw.gauss(0, 0.1)
            lines.append(",".join(repr(v) for v in [*x, y]))
        (self.path / "table.csv").write_text("\n".join(lines) + "\n")
        (self.path / "run.toml").write_text(
            'name = "run"\nseed = 3\n[data]\nsource = "table.csv"\ntarget = "y"\n'
            '[data.augment]\nnoise = 0.1\n[data.split]\nby = "random"\nvalidation = 0.2\ntest = 0.2\n'
            f'[model]\nhidden = {hidden}\ndropout = 0.1\nnorm = "batch"\n[train]\nbatch_size = 16\n{train}\n'
        )

    def command(self, out, *more):
        """The command that trains into the run directory `out`."""
        return [self.binary, "train", "run.toml", "--device", self.device, "--out", str(out), *more]

    def start(self, out, *more, environment=None):
        """Starts the training."""
        return subprocess.Popen(
            self.command(out, *more),
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def train(self, out, *more, environment=None):
        """Runs the training to its end and returns exit code, standard output and standard error."""
        process = self.start(out, *more, environment=environment)
        output, errors = process.communicate()
        return process.returncode, output, errors


def checkpoints(run):
    """Checkpoints of a run, ordered by step."""
    files = (run / "checkpoints").glob("step-*.safetensors")
    return sorted(files, key=lambda path: int(path.stem.split("-")[1]))


def bits(run):
    """The files whose bits every finished run must reproduce: best weights, newest checkpoint, history."""
    files = [run / "best.safetensors", checkpoints(run)[-1], run / "metrics.csv"]
    return [path.read_bytes() for path in files]
