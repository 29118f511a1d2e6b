#!/usr/bin/env python3
"""Checks that data larger than the memory they are given train: a CSV of 3 GB, an IDX file and a folder of pictures of 2 GB,
and the Parquet file of a table of 3 GB (if polars is there, which writes it), each within 1 GiB.

They are made here, which takes some minutes and 9 GB of disk with the program's own file. The resident memory of the
whole training is that of the `end` event (VmHWM), and pages that only cache files do not count.

    tests/long/large.py [--binary target/release/gridlight] [--csv 3000] [--idx 2000] [--parquet 3000] [--pictures 2000]
                        [--folder DIR] [--steps 200]
"""

import argparse
import importlib.util
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1 << 30
COLUMNS = 20


def table(path, megabytes):
    """Numbers in 20 columns, of which 5 decide the target; some are missing."""
    draw = random.Random(1)
    # Rows of a block are shuffled anew for every block, so that writing is fast and no two blocks are alike.
    rows = []
    for _ in range(20_000):
        x = [draw.gauss(0, 1) for _ in range(COLUMNS)]
        y = x[0] - 2 * x[1] + x[2] * x[3] + 0.1 * draw.gauss(0, 1)
        cells = [f"{v:.4f}" if draw.random() > 0.01 else "" for v in x]
        rows.append(",".join([*cells, f"{y:.4f}", draw.choice("abcd")]))
    with open(path, "w") as file:
        file.write(",".join([f"x{i}" for i in range(COLUMNS)] + ["y", "kind"]) + "\n")
        count = 0
        while file.tell() < megabytes * 1_000_000:
            draw.shuffle(rows)
            file.write("\n".join(rows) + "\n")
            count += len(rows)
    return count


def images(path, megabytes):
    """Pictures of 28 x 28 pixels of noise, brighter in the second of two classes."""
    draw = random.Random(2)
    count = megabytes * 1_000_000 // 784
    dark, bright = (bytes(draw.randrange(low, low + 128) for _ in range(1 << 20)) for low in (0, 100))
    with open(path / "a-images-idx3-ubyte", "wb") as file:
        file.write(struct.pack(">IIII", 0x0803, count, 28, 28))
        for at in range(count):
            start = draw.randrange(len(dark) - 784)
            file.write((bright if at % 2 else dark)[start : start + 784])
    with open(path / "a-labels-idx1-ubyte", "wb") as file:
        file.write(struct.pack(">II", 0x0801, count) + bytes(at % 2 for at in range(count)))
    return count


def parquet(path, megabytes):
    """The table of `table` as a Parquet file, written a part at a time."""
    import polars

    rows = table(path / "t.csv", megabytes)
    polars.scan_csv(path / "t.csv").sink_parquet(path / "t.parquet", row_group_size=200_000)
    (path / "t.csv").unlink()
    return rows


def png(pixels, side):
    """A PNG file of `side` x `side` pixels of three bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + pixels[at : at + 3 * side] for at in range(0, 3 * side * side, 3 * side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b"")


def pictures(path, megabytes, side=128):
    """Folders of PNG files of two classes, whose pixels are so many bytes."""
    draw = random.Random(3)
    count = megabytes * 1_000_000 // (3 * side * side)
    noise = {"dark": 0, "bright": 100}
    noise = {name: bytes(draw.randrange(low, low + 128) for _ in range(1 << 18)) for name, low in noise.items()}
    for name, source in noise.items():
        (path / "pictures" / name).mkdir(parents=True)
        for at in range(count // 2):
            start = draw.randrange(len(source) - 3 * side * side)
            (path / "pictures" / name / f"{at}.png").write_bytes(png(source[start : start + 3 * side * side], side))
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/gridlight"))
    parser.add_argument("--csv", type=int, default=3000, help="megabytes")
    parser.add_argument("--idx", type=int, default=2000, help="megabytes")
    parser.add_argument("--parquet", type=int, default=3000, help="megabytes of the table as CSV")
    parser.add_argument("--pictures", type=int, default=2000, help="megabytes of pixels")
    parser.add_argument("--folder", default=None, help="where files are made; not one that is kept in memory")
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args()
    binary = str(pathlib.Path(asked.binary).resolve())
    failures = 0
    cases = [
        ("csv", asked.csv, 'source = "t.csv"\ntarget = "y"', lambda path, size: table(path / "t.csv", size)),
        ("idx", asked.idx, 'source = "a-images-idx3-ubyte"', images),
        ("parquet", asked.parquet, 'source = "t.parquet"\ntarget = "y"', parquet),
        ("pictures", asked.pictures, 'source = "pictures"', pictures),
    ]
    for name, megabytes, source, make in cases:
        if megabytes == 0:
            continue
        if name == "parquet" and importlib.util.find_spec("polars") is None:
            print("parquet: not run, because there is no polars (`pip install polars`)")
            continue
        with tempfile.TemporaryDirectory(prefix="gridlight-large-", dir=asked.folder) as place:
            path = pathlib.Path(place)
            rows = make(path, megabytes)
            (path / "t.toml").write_text(
                f'name = "t"\n[data]\n{source}\n[data.memory]\nrows = "disk"\n'
                '[data.split]\nby = "random"\nvalidation = 0.02\ntest = 0.02\n'
                '[model]\nfamily = "mlp"\nhidden = [32]\n[train]\nepochs = 1\nbatch_size = 64\n'
                + ('loss = "cross_entropy"\n' if name == "pictures" else "")
            )
            clock = time.monotonic()
            command = [binary, "train", "t.toml", "--device", "cpu", "--json", "--max-steps", str(asked.steps)]
            done = subprocess.run(command, cwd=path, capture_output=True, text=True)
            if done.returncode != 0:
                print(f"{name}: exit code {done.returncode}: {done.stderr[-2000:]}")
                failures += 1
                continue
            peak = json.loads(done.stdout.splitlines()[-1])["peak_host_bytes"]
            allowed = LIMIT if megabytes >= 1000 else LIMIT // 2
            verdict = "holds" if peak <= allowed else "FAILS"
            failures += peak > allowed
            print(
                f"{name}: {megabytes} MB, {rows} rows: {peak / 2**20:.0f} MiB resident of {allowed / 2**20:.0f}: "
                f"{verdict} ({time.monotonic() - clock:.0f} s)",
                flush=True,
            )
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
