#!/usr/bin/env python3
"""Checks that exported Python programs predict what `gridlight predict` does.

Trains every shipped experiment of tables, images and series, and some of layers and columns that these do not have, for a
few steps, exports it with `export --python`, runs the program on the file with the test part, and compares all
predictions: numbers may differ by 1e-5 of the larger of their own size and the root mean square of their column, classes not
at all. What is refused must be refused by name.

    pip install torch numpy pillow
    tests/long/python_export.py [--binary target/release/gridlight] [--steps 40] [--only NAME]
"""

import argparse
import csv
import importlib.util
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "assets/data"
TOLERANCE = 1e-5
FASHION = DATA / "images/fashion-t10k1000-images-idx3-ubyte"
# The file to predict; what is refused says so.
SHIPPED = {
    "traffic": DATA / "traffic/metro_i94_hourly.csv",
    "breast-cancer": DATA / "medical/breast_cancer.csv",
    "student-grades": DATA / "education/star_grades.csv",
    "star-grades-tokens": DATA / "education/star_grades.csv",
    "traffic-window": DATA / "traffic/metro_i94_hourly.csv",
    "traffic-1h": DATA / "traffic/metro_i94_hourly.csv",
    "traffic-24h": DATA / "traffic/metro_i94_hourly.csv",
    "traffic-24h-transformer": DATA / "traffic/metro_i94_hourly.csv",
    "electricity-1h": DATA / "energy/electricity_hourly.csv",
    "electricity-24h": DATA / "energy/electricity_hourly.csv",
    "digits-cnn": DATA / "images/digits8x8.csv",
    "digits-resnet": DATA / "images/digits8x8.csv",
    "digits-rnn": DATA / "images/digits8x8.csv",
    "digits-vit": DATA / "images/digits8x8.csv",
    "fashion-cnn": FASHION,
    "volatility": "data.derive",
    "digits-restored": "unet",
    "digits-vae": "vae",
    "digits-gan": "gan",
}
IMAGE = """name = "{name}"
data = {{ source = "{digits}", target = "label", image = {{ shape = [1, 8, 8] }} }}
train = {{ loss = "cross_entropy" }}
model = {{ {model} }}
"""
PHOTOS = """name = "{name}"
data = {{ source = "{source}", target = "animal", image = {{ shape = {shape}, fit = "{fit}" }} }}
train = {{ loss = "bce_with_logits" }}
model = {{ family = "cnn", channels = [4], hidden = [8] }}
"""
ROW = """name = "{name}"
[data]
source = "{table}"
target = "{target}"
{data}
[model]
hidden = [8]
norm = "{norm}"
[train]
loss = "{loss}"
"""


def layers(*each):
    return "layer = [" + ", ".join("{ type = " + layer + " }" for layer in each) + "]"


def mixed(path):
    """A table with missing values, names, dates and booleans."""
    draw = random.Random(2)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["colour", "when", "size", "far", "flag", "kind", "sold", "price"])
        for row in range(600):
            missing = lambda cell: draw.choice(["", "?", "NA"]) if draw.random() < 0.1 else str(cell)
            size = draw.lognormvariate(1, 1)
            colour = draw.choice(["red", "green", "blue", 'r"b'])
            when = f"20{19 + row // 300}-{row % 12 + 1:02}-{row % 28 + 1:02}T{row % 24:02}:30"
            cells = [missing(colour), when, missing(round(size, 3)), round(1e5 + draw.random(), 4)]
            cells += [missing(draw.choice(["true", "false"])), draw.choice("abc"), draw.choice(["yes", "no"])]
            writer.writerow([*cells, round(3 * size + draw.random(), 3)])


def shops(path):
    draw = random.Random(3)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["shop", "day", "value", "stock", "open"])
        for shop, size in [("north", 10), ("south", 40)]:
            for day in range(150):
                if day % 37 != 5:
                    value = round(size * (2 + numpy.sin(day / 3)) + draw.random(), 3)
                    when = numpy.datetime64("2024-01-01") + day
                    writer.writerow([shop, when, value, round(draw.random(), 3), draw.choice(["yes", "no"])])


def photos(place):
    """A folder of pictures of two classes, of many sizes and formats; none of JPEG, which readers round otherwise."""
    from PIL import Image

    draw = numpy.random.default_rng(4)
    for at in range(60):
        name, base = [("cat", (200, 80, 40)), ("dog", (40, 90, 210))][at % 2]
        size = tuple(draw.integers(5, 30, 2))
        values = numpy.clip(numpy.array(base) + draw.normal(0, 40, (*size, 3)), 0, 255).astype(numpy.uint8)
        (place / name).mkdir(parents=True, exist_ok=True)
        shown = Image.fromarray(values)
        if at % 10 == 0:
            seen = draw.integers(0, 256, (*size, 1), dtype=numpy.uint8)
            shown = Image.fromarray(numpy.concatenate([values, seen], 2))
        elif at % 10 == 1:
            shown = Image.fromarray((values[:, :, 0].astype(numpy.uint16) * 199))
        elif at % 10 == 2:
            shown = shown.convert("P")
        elif at % 10 == 3:
            shown = shown.convert("L")
        kind = "png" if at % 10 < 4 else ["bmp", "gif", "webp", "tiff"][at % 4]
        more = {"lossless": True} if kind == "webp" else {}
        if at % 20 == 5:
            exif = Image.Exif()
            exif[0x0112] = 6
            kind, more = "png", {"exif": exif}
        shown.save(place / name / f"{at}.{kind}", **more)


def more(place):
    """Name, experiment and file of layers and columns that no shipped experiment has."""
    table, series, digits = place / "mixed.csv", place / "shops.csv", DATA / "images/digits8x8.csv"
    mixed(table)
    shops(series)

    def row(name, target, loss, data="", norm="none"):
        text = ROW.format(name=name, table=table, target=target, data=data, norm=norm, loss=loss)
        return name, text, table

    def image(name, *each):
        return name, IMAGE.format(name=name, digits=digits, model=layers(*each)), digits

    yield row("mixed", "price", "mse", 'transform = { target = "log1p" }\nclean = { indicators = true, clip = 2.0 }', "layer")
    yield row("scales", "price", "huber", 'transform = { numbers = "log1p", target = "min_max", cyclic = false }')
    yield row("quantiles", "price", "mse", 'transform = { numbers = "quantile", target = "quantile" }')
    yield row("embedding", "sold", "bce_with_logits", 'transform = { categories = "embedding" }', "batch")
    yield row("forward", "kind", "cross_entropy", 'clean = { numbers = "forward_fill", categories = "forward_fill" }')
    yield image("convolutions", '"conv2d", channels = 6, kernel = [3, 5], stride = 2, padding = "same"',
        '"group_norm", groups = 2', '"conv_transpose2d", channels = 4, kernel = [2, 3], stride = [3, 2], output_padding = [1, 1]',
        '"upsample", factor = 2, mode = "bilinear"', '"avg_pool", size = 3, stride = 2, padding = 1',
        '"residual", channels = 8, kind = "bottleneck", stride = 2', '"max_pool", size = 2', '"flatten"', '"rms_norm"')
    functions = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus"]
    yield image("activations", *(step for f in functions for step in ('"dense", units = 8', f'"activation", function = "{f}"')))
    for cell in ["tanh", "relu", "gru"]:
        yield image(f"stack-{cell}", f'"recurrent", cell = "{cell}", hidden = 7, layers = 2, bidirectional = true, output = "all"',
            f'"recurrent", cell = "{cell}", hidden = 5, bidirectional = true')
    photos(place / "photos")
    for name, shape, fit in [("photos", [3, 12, 12], "squash"), ("photos-pad", [1, 9, 14], "pad"), ("photos-crop", [3, 16, 8], "crop")]:
        yield name, PHOTOS.format(name=name, source=place / "photos", shape=shape, fit=fit), place / "photos"
    yield image("attention", '"tokens", width = 8, patch = [2, 4]', '"position"', '"attention", heads = 2', '"flatten"')
    head = 'name = "{name}"\n[data]\nsource = "{series}"\ntarget = "value"\nwindow = {{ length = 6, horizon = {horizon}, group = "shop", {window} }}\n'
    tail = '[data.split]\nby = "order"\n[model]\nfamily = "rnn"\ncell = "{cell}"\nhidden = [6]\n'
    for name, horizon, window, cell in [
        ("shops", 3, 'all_steps = true, time = "day", gaps = "fill", known_future = ["day"]', "lstm"),
        ("shops-targets", 2, 'targets = ["stock"], time = "day", gaps = "drop"', "gru"),
        ("shops-static", 1, 'time = "day", gaps = "fill", known_future = ["open"], static = ["shop"]', "tanh"),
    ]:
        yield name, (head + tail).format(name=name, series=series, horizon=horizon, window=window, cell=cell), series


def read(path):
    with open(path, newline="") as file:
        title, *lines = csv.reader(file)
    return {name: [line[at] for line in lines] for at, name in enumerate(title)}


def minutes(cell):
    return str(numpy.datetime64(cell.replace(" ", "T"), "m"))


def joined(found, expected, said):
    """Both tables with the rows that both have, by the columns that say which."""
    key = lambda table, row: tuple(minutes(table[name][row]) if name == said[0] else table[name][row] for name in said)
    rows = {key(found, row): row for row in range(len(found[said[0]]))}
    count = len(expected[said[0]])
    missing = [key(expected, row) for row in range(count) if key(expected, row) not in rows]
    assert not missing, f"{len(missing)} of {count} predictions are missing, such as {missing[0]}"
    places = [rows[key(expected, row)] for row in range(count)]
    return {name: [column[at] for at in places] for name, column in found.items()}


def difference(found, expected):
    """The largest difference of predictions, relative to their size; labels must be the same."""
    names = list(found)
    if any(name in expected and name in found for name in ("date_time", "day", "shop")):
        said = [name for name in ("date_time", "day", "shop") if name in found and name in expected]
        found = joined(found, expected, said)
        names = [name for name in names if name not in said]
    worst = 0.0
    for name in names:
        a, b = found[name], expected[name]
        assert len(a) == len(b), f"{name}: {len(a)} rows, expected {len(b)}"
        try:
            a, b = (numpy.array([float(cell) for cell in column]) for column in (a, b))
        except ValueError:
            assert a == b, f"{name}: {next((x, y) for x, y in zip(a, b) if x != y)}"
            continue
        typical = max(float(numpy.sqrt((b**2).mean())), 1e-30)
        assert numpy.isfinite(a).all(), name
        worst = max(worst, float((abs(a - b) / numpy.maximum(abs(b), typical)).max()))
    return worst


def command(*arguments, cwd):
    return subprocess.run([str(part) for part in arguments], capture_output=True, text=True, cwd=cwd)


def check(binary, place, name, experiment, file, count):
    run, program, table = place / "runs" / name, place / f"{name}.py", place / f"{name}-expected.csv"
    ended = command(binary, "train", experiment, "--device", "cpu", "--out", run, "--max-steps", count, "--quiet", cwd=place)
    assert ended.returncode == 0, ended.stderr
    ended = command(binary, "export", run, "--python", program, cwd=place)
    if isinstance(file, str):
        assert ended.returncode == 2 and file in ended.stderr, ended.stderr
        return f"refused: {file}"
    assert ended.returncode == 0, ended.stderr
    ended = command(binary, "predict", run, "--input", file, "--output", table, "--device", "cpu", cwd=place)
    assert ended.returncode == 0, ended.stderr
    expected = read(table)
    if file.suffix == ".csv" or file.is_dir():
        ended = command(sys.executable, program, file, cwd=place)
        assert ended.returncode == 0, ended.stderr
        found = dict(zip((lines := list(csv.reader(ended.stdout.splitlines())))[0], map(list, zip(*lines[1:]))))
    else:
        spec = importlib.util.spec_from_file_location("program", program)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        pixels = numpy.frombuffer(file.read_bytes(), numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
        found = {key: list(column) for key, column in module.predict(module.load(), pixels).items()}
    worst = difference(found, expected)
    assert worst <= TOLERANCE, f"worst difference {worst:.1e}"
    size = len(program.read_text().splitlines())
    return f"{len(next(iter(expected.values())))} rows, worst difference {worst:.1e}; {size} lines"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/release/gridlight", type=pathlib.Path)
    parser.add_argument("--steps", default=40, type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for runs and programs")
    arguments = parser.parse_args()
    good = total = 0
    with tempfile.TemporaryDirectory() as place:
        place = arguments.keep.resolve() if arguments.keep else pathlib.Path(place)
        place.mkdir(exist_ok=True)
        cases = [(name, ROOT / f"assets/experiments/{name}.toml", file) for name, file in SHIPPED.items()]
        for name, text, file in more(place):
            (place / f"{name}.toml").write_text(text)
            cases.append((name, place / f"{name}.toml", file))
        for name, experiment, file in cases:
            if arguments.only not in name:
                continue
            total += 1
            try:
                result = check(arguments.binary.resolve(), place, name, experiment, file, arguments.steps)
                print(f"ok   {name}: {result}", flush=True)
                good += 1
            except AssertionError as error:
                print(f"BAD  {name}: {str(error).strip()[-600:]}", flush=True)
    print(f"{good} of {total} programs agree")
    sys.exit(good != total or not total)


if __name__ == "__main__":
    main()
