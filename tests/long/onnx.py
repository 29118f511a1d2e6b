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
import datetime
import math
import pathlib
import random
import subprocess
import sys
import tempfile

# This file's folder comes first in the path, and this file has the name of a package.
HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]

import numpy
import onnx
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "assets/data"
MISSING = {"", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "<NA>", "-", "--", "?"}
TRAFFIC, ENERGY = DATA / "traffic/metro_i94_hourly.csv", DATA / "energy/electricity_hourly.csv"
HOUR = datetime.timedelta(hours=1)
# Elements of a batch, and sequences of a stream, of an evaluation.
BATCH, ROWS_OF_A_STREAM, STREAMS, DRAWS = 512, 16, 32, 32
TOLERANCE = 1e-5


def table(path):
    """The columns of a CSV file by name."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def number(cell):
    words = {"true": 1, "false": 0, "yes": 1, "no": 0}
    return numpy.nan if cell in MISSING else words[cell] if cell in words else float(cell)


def numbers(cells, kind=numpy.float32):
    return numpy.array([number(cell) for cell in cells], kind)


def moment(cell):
    return datetime.datetime.fromisoformat(cell)


def columns_of(path, model):
    """The inputs of a model of rows: each a column of the file."""
    cells = table(path)
    feeds = {}
    if "when" in cells:
        dates = [datetime.date.fromisoformat(cell) for cell in cells["when"]]
        day_of_year = [date.timetuple().tm_yday for date in dates]
        parts = {"hour": [0] * len(dates), "weekday": [date.weekday() for date in dates]}
        parts |= {"month": [date.month for date in dates], "day of year": day_of_year}
        parts["year"] = [date.year + (day - 1) / 366 for date, day in zip(dates, day_of_year)]
        cells |= {f"when {name}": part for name, part in parts.items()}
    for value in model.graph.input:
        if value.name == "noise":
            continue
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        column = cells[value.name]
        feeds[value.name] = (numpy.array(column, object) if kind == object else numbers(column, kind)).reshape(-1, 1)
    return feeds


def days(path):
    """One row per day, of the loads of its hours."""
    cells = table(path)
    found = {}
    for when, load in zip(map(moment, cells["date_time"]), numbers(cells["load_kw"])):
        found.setdefault(when.date(), {})[when.hour] = load
    feeds = {
        f"load_kw {hour:02}:00": numpy.array([day.get(hour, numpy.nan) for day in found.values()], numpy.float32)
        for hour in range(24)
    }
    feeds["weekday"] = numpy.array([date.strftime("%A") for date in found], object)
    return {name: column.reshape(-1, 1) for name, column in feeds.items()}


def past_days(path, length=7):
    """Windows of days, of the loads of their hours, and the weekday of the day after each."""
    feeds = days(path)
    count = len(feeds["weekday"]) - length
    windows = numpy.arange(count)[:, None] + numpy.arange(length)[None, :]
    found = {name: column[windows] for name, column in feeds.items() if name != "weekday"}
    return found | {"weekday (+1)": feeds["weekday"][windows + 1]}


def hourly(path, target, ahead, holiday, beyond):
    """Windows of 24 hours, and what is known of the rows `ahead` later; `beyond` the end only the calendar is."""
    cells = table(path)
    known = {moment(when): at for at, when in enumerate(cells["date_time"])}
    first, last = min(known), max(known)
    hours = [first + HOUR * n for n in range(int((last - first) / HOUR) + 1 + (ahead if beyond else 0))]
    values, before = [], numpy.nan
    for hour in hours:
        value = number(cells[target][known[hour]]) if hour in known else numpy.nan
        before = value if not math.isnan(value) else before
        values.append(before)
    parts = {
        target: numpy.array(values, numpy.float32),
        f"date_time hour (+{ahead})": numpy.array([hour.hour for hour in hours], numpy.float32),
        f"date_time weekday (+{ahead})": numpy.array([hour.weekday() for hour in hours], numpy.float32),
        f"date_time month (+{ahead})": numpy.array([hour.month for hour in hours], numpy.float32),
    }
    if holiday:
        flags = [cells["holiday"][known[hour]] if hour in known else "" for hour in hours]
        parts[f"holiday (+{ahead})"] = numbers(flags)
    count = len(hours) - 24 - ahead + 1
    start = {target: 0}
    windows = numpy.arange(count)[:, None] + numpy.arange(24)[None, :]
    return {name: part[windows + start.get(name, ahead)][:, :, None] for name, part in parts.items()}


def swings(path):
    """Windows of 22 working days of each share."""
    cells = table(path)
    series = {}
    for row in range(len(cells["Date"])):
        high, low = float(cells["High"][row]), float(cells["Low"][row])
        ratio = math.log(high / low)
        if ratio > 0:
            series.setdefault(cells["Ticker"][row], []).append((cells["Date"][row], math.log(ratio)))
    windows = []
    for ticker in sorted(series):
        values = [value for _, value in sorted(series[ticker])]
        # The last window's day is after the end of the file.
        windows += [values[at : at + 22] for at in range(len(values) - 21)]
    return {"swing": numpy.array(windows, numpy.float32)[:, :, None]}


def digits(path):
    cells = table(path)
    pixels = [numbers(cells[name]) for name in cells if name != "label"]
    return {"image": numpy.stack(pixels, 1).reshape(-1, 1, 8, 8)}


def idx(path):
    bytes = pathlib.Path(path).read_bytes()
    images = numpy.frombuffer(bytes, numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
    return {"image": images.astype(numpy.float32)}


def quantiles():
    """The program's table of quantiles of N(0, 1/2)."""
    wanted = (numpy.arange(4096) + 0.5) / 4096
    low, high = numpy.full(4096, -10.0), numpy.full(4096, 10.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = numpy.array([0.5 * math.erfc(-x * math.sqrt(0.5)) for x in middle]) < wanted
        low, high = numpy.where(below, middle, low), numpy.where(below, high, middle)
    z = 0.5 * (low + high)
    scale = math.sqrt(0.5 / (z * z).mean())
    return numpy.round(z * scale * 2**20) / 2**20


def threefry(key, counter):
    """Threefry2x32-20 (Salmon et al. 2011) of arrays of counters."""
    keys = [*key, key[0] ^ key[1] ^ numpy.uint32(0x1BD11BDA)]
    x, y = counter[0] + key[0], counter[1] + key[1]
    for four in range(5):
        for rotation in ([13, 15, 26, 6], [17, 29, 16, 24])[four % 2]:
            x = x + y
            y = ((y << numpy.uint32(rotation)) | (y >> numpy.uint32(32 - rotation))) ^ x
        x, y = x + keys[(four + 1) % 3], y + keys[(four + 2) % 3] + numpy.uint32(four + 1)
    return x, y


def noise(rows, latent):
    """What predictions draw for the codes of a file's rows, [draws, rows, latent]."""
    batch = min(rows, BATCH)
    elements = numpy.arange(batch * latent, dtype=numpy.uint32)
    known, found = quantiles(), []
    with numpy.errstate(over="ignore"):
        stream = numpy.uint32(5) * numpy.uint32(0x9E3779B1)
        for draw in range(DRAWS):
            parts = []
            for slot in range(-(-rows // batch)):
                counter = numpy.full_like(elements, slot), elements // numpy.uint32(2)
                pair = threefry((numpy.uint32(draw), stream), counter)
                word = numpy.where(elements % 2 == 0, *pair)
                parts.append((known[word & 4095] + known[(word >> 12) & 4095]).reshape(batch, latent))
            found.append(numpy.concatenate(parts)[:rows])
    return numpy.array(found, numpy.float32)


def codes(model, rows=65, seed=3):
    """What `sample` draws: codes, and the classes in turn."""
    extents = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    latent = extents["code"][1].dim_value
    elements = numpy.arange(rows * latent, dtype=numpy.uint32)
    with numpy.errstate(over="ignore"):
        key = numpy.uint32(seed), numpy.uint32(6) * numpy.uint32(0x9E3779B1)
        pair = threefry(key, (numpy.zeros_like(elements), elements // numpy.uint32(2)))
    word, known = numpy.where(elements % 2 == 0, *pair), quantiles()
    drawn = (known[word & 4095] + known[(word >> 12) & 4095]).reshape(rows, latent)
    feeds = {"code": drawn.astype(numpy.float32)}
    for name in extents.keys() - feeds.keys():
        meaning = next(value.doc_string for value in model.graph.input if value.name == name)
        classes = meaning.rsplit(": ", 1)[1].split(", ")
        feeds[name] = numpy.array([[classes[row % len(classes)]] for row in range(rows)], object)
    return feeds


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


def entry(model, key):
    return next(entry.value for entry in model.metadata_props if entry.key == key)


def lines(path, model):
    """The tokens of a table's lines, and how many each has."""
    from tokenizers import Tokenizer

    tokenizer, length = Tokenizer.from_str(entry(model, "tokenizer")), model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    found = [[] if line in MISSING else [token + 1 for token in tokenizer.encode(line).ids][:length]
             for line in table(path)["line"]]
    tokens = numpy.array([line + [0] * (length - len(line)) for line in found], numpy.int64)
    return {"tokens": tokens, "length": numpy.array([len(line) for line in found], numpy.int64)}


def uniform(stream, step, shape):
    """What evaluations draw of a stream for a batch."""
    elements = numpy.arange(math.prod(shape), dtype=numpy.uint32)
    with numpy.errstate(over="ignore"):
        key = numpy.uint32(0), numpy.uint32(stream) * numpy.uint32(0x9E3779B1)
        pair = threefry(key, (numpy.full_like(elements, step), elements // numpy.uint32(2)))
    return (numpy.where(elements % 2 == 0, *pair) >> numpy.uint32(8)).astype(numpy.float32).reshape(shape) / numpy.float32(2**24)


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


def cases():
    """Of each experiment: the file to predict, and its raw values for a model."""
    digit, fashion = DATA / "images/digits8x8.csv", DATA / "images/fashion-t10k1000-images-idx3-ubyte"
    rows = lambda path: (path, lambda model: columns_of(path, model))
    hours = lambda path, *more: (path, lambda model: hourly(path, *more))
    found = {
        "traffic": rows(TRAFFIC),
        "breast-cancer": rows(DATA / "medical/breast_cancer.csv"),
        "student-grades": rows(DATA / "education/star_grades.csv"),
        "traffic-window": hours(TRAFFIC, "traffic_volume", 1, True, False),
        "traffic-1h": hours(TRAFFIC, "traffic_volume", 1, True, False),
        "traffic-24h": hours(TRAFFIC, "traffic_volume", 24, True, False),
        "electricity-1h": hours(ENERGY, "load_kw", 1, False, True),
        "electricity-24h": hours(ENERGY, "load_kw", 24, False, True),
        "energy-24h-tcn": hours(ENERGY, "load_kw", 24, False, True),
        "volatility": (DATA / "finance/stocks_daily.csv", lambda model: swings(DATA / "finance/stocks_daily.csv")),
        "electricity-hours": (ENERGY, lambda model: past_days(ENERGY)),
        "karate": rows(DATA / "graphs/karate_members.csv"),
        "energy-anomaly": (ENERGY, lambda model: days(ENERGY)),
        "shakespeare": (DATA / "text/shakespeare_plays.txt", None),
        "shakespeare-gpt": (DATA / "text/shakespeare_plays.txt", None),
        "plays-lines": (DATA / "text/plays_lines.csv", lambda model: lines(DATA / "text/plays_lines.csv", model)),
        "plays-masked": (DATA / "text/plays_lines.csv", masked),
        "star-grades-tokens": rows(DATA / "education/star_grades.csv"),
        "traffic-24h-transformer": hours(TRAFFIC, "traffic_volume", 24, True, False),
    }
    for name in ["digits-cnn", "digits-resnet", "digits-rnn", "digits-vae", "digits-vit"]:
        found[name] = (digit, lambda model: digits(digit))
    for name in ["fashion-cnn", "fashion-vae"]:
        found[name] = (fashion, lambda model: idx(fashion))
    for name in ["digits-gan", "fashion-wgan-gp"]:
        found[name] = (None, codes)
    return found


IMAGE = """name = "{name}"
data = {{ source = "{digits}", target = "label", image = {{ shape = [1, 8, 8] }} }}
train = {{ loss = "cross_entropy" }}
model = {{ {model} }}
"""
ROW = """name = "{name}"
[data]
source = "{table}"
target = "{target}"
csv = {{ missing = ["-999"] }}
{data}
[model]
{model}
[train]
loss = "{loss}"
"""
TEXT = """name = "{name}"
[data]
source = "{text}"
text = {{ length = 16 }}
split = {{ by = "order", validation = 0.05, test = 0.1 }}
[model]
{model}
"""
TEXT_ROWS = """name = "{name}"
[data]
source = "{text}"
target = "play"
text = {{ column = "line", length = 12, tokens = {{ bpe = 400 }} }}
[model]
{model}
[train]
loss = "cross_entropy"
"""
SERIES = """name = "{name}"
[data]
source = "{table}"
target = "value"
{data}
window = {{ length = 6, horizon = 3, all_steps = true, group = "shop", {window} }}
[data.split]
by = "order"
[model]
{model}
"""


def layers(*each):
    return "layer = [" + ", ".join("{ type = " + layer + " }" for layer in each) + "]"


def more_cases(directory):
    """Layers and columns that no shipped experiment has: an experiment each, its file and its raw values."""
    digit, mixed, shops = DATA / "images/digits8x8.csv", directory / "mixed.csv", directory / "shops.csv"
    write_mixed(mixed)
    write_shops(shops)
    found = {}

    def image(name, model):
        found[name] = (IMAGE.format(name=name, digits=digit, model=model), digit, lambda model: digits(digit))

    def row(name, target, loss, model="hidden = [8]", data=""):
        text = ROW.format(name=name, table=mixed, target=target, data=data, model=model, loss=loss)
        found[name] = (text, mixed, lambda model: columns_of(mixed, model))

    def series(name, model, data="", window=""):
        text = SERIES.format(name=name, table=shops, data=data, window=window, model=model)
        found[name] = (text, shops, lambda model: shop_windows(shops, model))

    members = DATA / "graphs/karate_members.csv"
    attention = (ROOT / "assets/experiments/karate.toml").read_text().replace("../data", str(DATA))
    attention = attention.replace('"graph_conv", units = 16', '"graph_attention", units = 5, heads = 3').replace(
        '"graph_conv", units = 2', '"graph_sage", units = 6')
    found["graph-attention"] = (attention, members, lambda model: columns_of(members, model))

    def text(name, model):
        plays = DATA / "text/shakespeare_plays.txt"
        part = directory / "plays.txt"
        part.write_text(plays.read_text()[:20000])
        found[name] = (TEXT.format(name=name, text=part, model=model), part, None)

    image("conv1d", layers(
        '"upsample", factor = [1, 3]', '"max_pool", size = [8, 2]', '"conv1d", channels = 6, kernel = 5, padding = 2',
        '"conv1d", channels = 8, kernel = 3, stride = 2, dilation = 2, groups = 2', '"flatten"'))
    image("conv2d", layers(
        '"conv2d", channels = 6, kernel = [3, 5], stride = 2, padding = "same"',
        '"conv2d", channels = 6, kernel = 2, groups = 3, padding = 1, bias = false', '"batch_norm"',
        '"conv2d", channels = 4, kernel = 2, dilation = 2', '"global_pool", kind = "max"'))
    image("transposed", layers(
        '"conv2d", channels = 4', '"conv_transpose2d", channels = 6, stride = 2, padding = 1, output_padding = 1',
        '"conv_transpose2d", channels = 4, kernel = [2, 3], stride = [3, 2], groups = 2, bias = false',
        '"conv_transpose2d", channels = 4, dilation = 2', '"group_norm", groups = 2', '"global_pool"'))
    image("pools", layers(
        '"conv2d", channels = 4', '"upsample", factor = [2, 3]', '"upsample", factor = 2, mode = "bilinear"',
        '"avg_pool", size = 3, stride = 2, padding = 1', '"max_pool", size = 3, stride = [1, 2], padding = 1',
        '"flatten"', '"layer_norm"', '"dense", units = 9', '"rms_norm"'))
    image("bottleneck", layers(
        '"conv2d", channels = 8', '"residual", channels = 16, kind = "bottleneck", stride = 2, shortcut_norm = false',
        '"flatten"'))
    image("resnet", 'family = "resnet", depth = 20')
    image("resnet-imagenet", 'family = "resnet", stem = "imagenet"')
    image("alexnet", 'family = "alexnet"')
    image("normed", layers(
        '"conv2d", channels = 6, padding = 1, init = "kaiming"', '"local_response_norm", size = 4, alpha = 0.5',
        '"conv2d", channels = 4, groups = 2', '"local_response_norm", size = 5, k = 2.0',
        '"adaptive_pool", size = [4, 5]', '"flatten"'))
    image("tcn", 'family = "tcn", channels = [6, 8]')
    text("text-gated", 'family = "transformer"\nwidth = 16\nblocks = 1\ntied = true\nactivation = "swiglu"')
    text("text-tcn", 'family = "tcn"\nchannels = [8, 8]')
    functions = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus"]
    activations = [step for f in functions for step in ('"dense", units = 8', f'"activation", function = "{f}"')]
    image("activations", layers(*activations))
    for cell in ["tanh", "relu", "lstm", "gru"]:
        image(f"stack-{cell}", layers(
            f'"recurrent", cell = "{cell}", hidden = 7, layers = 2, bidirectional = true, output = "all"',
            f'"recurrent", cell = "{cell}", hidden = 5, bidirectional = true', '"dense", units = 6'))
    row("mixed", "price", "mse", data='transform = { target = "log1p" }\nclean = { indicators = true, clip = 2.0 }')
    row("scales", "price", "mae", data='transform = { numbers = "log1p", target = "min_max", cyclic = false }\n'
        'clean = { numbers = "median", categories = "most_frequent" }\nexclude = ["offset"]')
    row("quantiles", "price", "mse", data='transform = { numbers = "quantile", target = "quantile" }')
    row("embedding", "sold", "bce_with_logits", data='transform = { categories = "embedding" }')
    row("embedding-batch", "kind", "cross_entropy", model='hidden = [8]\nnorm = "batch"\nactivation = "elu"',
        data='transform = { categories = "embedding" }\nclean = { categories = { constant = "red" } }')
    row("learned-variance", "kind", "elbo", model='family = "vae"\nlatent = 3\nvariance = "learned"\nbeta = 0.5')
    series("shops", 'family = "rnn"\ncell = "lstm"\nhidden = [6, 6]', window='scale_by = "group"')
    series("shops-conv", layers(
        '"conv1d", channels = 6, kernel = 3, causal = true', '"temporal_block", channels = 4, weight_norm = false',
        '"global_pool", kind = "last"'))
    documents(directory, found)
    series("shops-log", 'family = "mlp"', data='transform = { target = "log1p" }', window='targets = ["stock"]')
    return found


def documents(directory, found):
    """Texts of rows with layers that no shipped experiment has."""
    path = directory / "lines.csv"
    rows = table(DATA / "text/plays_lines.csv")
    chosen = [(play, line) for play, line in zip(rows["play"], rows["line"]) if play]
    chosen = chosen[:: len(chosen) // 800]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("play", "line"), *chosen, ("Hamlet", "")])
    recurrent = '"recurrent", cell = "{cell}", hidden = 6, layers = 2'
    for name, model in [
        ("lines-lstm", layers(recurrent.format(cell="lstm"))),
        ("lines-gru-max", layers(recurrent.format(cell="gru") + ', output = "all"', '"global_pool", kind = "max"')),
        ("lines-last", layers('"attention", heads = 2', '"global_pool", kind = "last"')),
    ]:
        text = TEXT_ROWS.format(name=name, text=path, model=model)
        found[name] = (text, path, lambda model: lines(path, model))


def write_mixed(path):
    draw, lines = random.Random(2), ["colour,when,size,offset,flag,kind,sold,price"]
    for row in range(600):
        missing = lambda cell: draw.choice(["", "?", "-999"]) if draw.random() < 0.1 else str(cell)
        colour = draw.choice(["red", "green", "blue", "\u00e9carlate", "red and blue"])
        size, flag = draw.lognormvariate(1, 1), draw.choice(["true", "false"])
        when = datetime.date(2019, 1, 1) + datetime.timedelta(days=row)
        kind, price = draw.choice(["a", "b", "c"]), 3 * size + draw.random()
        cells = [missing(colour), when, missing(round(size, 3)), round(1e5 + draw.random(), 4), missing(flag), kind]
        lines.append(",".join(map(str, [*cells, draw.choice(["yes", "no"]), round(price, 3)])))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_shops(path):
    draw, lines = random.Random(3), ["shop,value,stock,open"]
    for shop, size in [("north", 10), ("south", 1000)]:
        for day in range(150):
            value = size * (2 + math.sin(day / 3) + 0.1 * draw.random())
            lines.append(f"{shop},{value:.3f},{value / 3 + draw.random():.3f},{draw.choice('yn')}")
    path.write_text("\n".join(lines) + "\n")


def shop_windows(path, model):
    cells = table(path)
    wanted, feeds = [value.name for value in model.graph.input], {}
    for name in wanted:
        found = []
        for shop in ["north", "south"]:
            rows = [cells[name][at] for at in range(len(cells["shop"])) if cells["shop"][at] == shop]
            if name == "open":
                rows = [{"y": 1.0, "n": 0.0}[cell] for cell in rows]
            # Forecasts go on to three days after the end.
            for at in range(len(rows) - 6 + 1):
                found.append(rows[at : at + 6] if name != "shop" else rows[:1])
        of_strings = name == "shop"
        array = numpy.array(found, object) if of_strings else numpy.array(found, float).astype(numpy.float32)
        feeds[name] = array if of_strings else array[:, :, None]
    return feeds


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
    if values is codes:
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
    if values is masked:
        return {batch: masked(session, model, source, predictions, batch) for batch in [64, 7]}
    feeds = values(model)
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
