"""What the tests share: small tables, quick experiments, and a folder of their own for each test."""

import os
import pathlib
import random
import shutil

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, in which ``runs`` is made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def columns():
    """A table as lists: numbers, whole numbers, texts, booleans, times and gaps, of which ``y`` is made."""
    import datetime

    draw = random.Random(7)
    rows = 240
    a = [draw.gauss(0, 1) for _ in range(rows)]
    b = [draw.randrange(9) for _ in range(rows)]
    c = [draw.choice(["x", "y", "zebra"]) for _ in range(rows)]
    d = [draw.random() < 0.5 for _ in range(rows)]
    start = datetime.datetime(2024, 1, 1)
    t = [start + datetime.timedelta(hours=7 * row) for row in range(rows)]
    gaps = [None if row % 11 == 3 else draw.uniform(-1, 1) for row in range(rows)]
    y = [2 * a[row] + b[row] + 3 * (c[row] == "x") + d[row] + (gaps[row] or 0) for row in range(rows)]
    return {"a": a, "b": b, "c": c, "d": d, "t": t, "gaps": gaps, "y": y}


@pytest.fixture
def quick():
    """Makes experiments that take a moment."""

    def make(target="y", epochs=3, **keys):
        train = {"epochs": epochs, "batch_size": 16, **keys.pop("train", {})}
        data = {"target": target, **keys.pop("data", {})}
        return {"name": "quick", "seed": 1, "model": {"hidden": [16]}, "data": data, "train": train, **keys}

    return make


@pytest.fixture
def trained(quick):
    """Trains on a frame without showing anything, on the processor."""
    import gridlight

    def train(frame, experiment=None, **keywords):
        return gridlight.train(experiment or quick(), frame, device="cpu", progress=False, **keywords)

    return train


@pytest.fixture
def digest():
    """The SHA-256 of a run's best weights, as the program records it."""
    import json

    return lambda run: json.loads((run.path / "run.json").read_text())["weights_digest"]


@pytest.fixture
def program():
    """The program ``gridlight``, or a skip."""
    given = os.environ.get("GRIDLIGHT_BINARY")
    built = [ROOT / "target" / kind / "gridlight" for kind in ("release", "debug")]
    found = given or next((str(path) for path in built if path.exists()), None) or shutil.which("gridlight")
    if found is None:
        pytest.skip("the program `gridlight` is not built; name it in GRIDLIGHT_BINARY")
    return found
