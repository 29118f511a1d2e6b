#!/usr/bin/env python3
"""Builds the Python package as a wheel and tests it where nothing else is.

The wheel must be one for every Python from 3.11 on (abi3) and require no other package. In a fresh environment it must train
and predict a dictionary of lists, and import no library that was not asked for; then, with NumPy, pandas, polars, pyarrow and
scikit-learn beside it, it must pass the tests under python/tests, in which a frame trains to the bits of the program.

    pip install maturin
    tests/long/wheel.py [--binary target/release/gridlight] [--profile release] [--wheel FILE] [--libraries FOLDER]

With --libraries, the libraries and pytest are taken from folders (pip install --target; several as in PYTHONPATH) instead of
installed; those that are not there are skipped by the tests, with the reason.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALONE = """
import sys
import gridlight

frame = {"a": [float(row % 17) for row in range(200)], "c": ["x", "y"] * 100, "y": [3.0 * (row % 17) for row in range(200)]}
experiment = {"name": "alone", "data": {"target": "y"}, "train": {"epochs": 30}}
run = gridlight.train(experiment, frame, device="cpu", progress=False)
found = run.predict({"a": [4.0], "c": ["x"]})
assert abs(found["y"][0] - 12) < 3, found
assert run._repr_html_()
heavy = {"numpy", "pandas", "polars", "pyarrow", "sklearn", "IPython"} & set(sys.modules)
assert not heavy, heavy
print(f"alone: {run!r} predicts {found['y'][0]:.2f} for 12")
"""


# Texts that go along; those in python/licenses are copies, since a package holds no file from outside its folder.
LICENCES = ["licenses/LICENSE-MIT", "licenses/LICENSE-APACHE"]


def run(*command, **keywords):
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, **keywords)


def built(arguments, folder):
    """The wheel, built from this source tree."""
    command = ["maturin", "build", "--manifest-path", ROOT / "python/Cargo.toml"]
    run(*command, "--profile", arguments.profile, "--locked", "--out", folder)
    return next(folder.glob("gridlight-*.whl"))


def check(wheel):
    """Refuses a wheel that is for one version, requires others, or lacks the licences."""
    assert "-abi3-" in wheel.name and "-cp311-" in wheel.name, wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
        for licence in LICENCES:
            inside = [name for name in names if name.endswith(f".dist-info/licenses/{licence}")]
            assert len(inside) == 1 and archive.read(inside[0]) == (ROOT / pathlib.Path(licence).name).read_bytes(), (licence, inside)
            assert f"License-File: {licence}" in metadata.splitlines(), metadata
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert not required, required
    assert {"gridlight/py.typed", "gridlight/_gridlight.pyi", "gridlight/sklearn.py"} <= set(names), names
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, requires nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/gridlight")
    parser.add_argument("--profile", default="release")
    parser.add_argument("--wheel", type=pathlib.Path)
    parser.add_argument("--libraries")
    arguments = parser.parse_args()
    if not arguments.binary.exists():
        sys.exit(f"{arguments.binary} is not built; run cargo build --release, or give --binary")
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        wheel = arguments.wheel or built(arguments, place / "dist")
        check(wheel)
        venv.create(place / "venv", with_pip=True)
        python = place / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        run(python, "-m", "pip", "install", "--quiet", "--no-index", wheel, env=clean)
        run(python, "-c", ALONE, cwd=place, env=clean)
        if arguments.libraries:
            clean["PYTHONPATH"] = arguments.libraries
        else:
            run(python, "-m", "pip", "install", "--quiet", f"{wheel}[test]", env=clean)
        clean["GRIDLIGHT_BINARY"] = str(arguments.binary.resolve())
        options = ["-q", "-rs", "-p", "no:cacheprovider", "-W", "ignore::UserWarning"]
        run(python, "-m", "pytest", *options, ROOT / "python/tests", cwd=place, env=clean)


if __name__ == "__main__":
    main()
