"""Experiments with layers and columns that no shipped one has, for `onnx.py`: their texts, files and raw values."""

import csv
import datetime
import math
import random

import numpy

from onnx_values import DATA, ROOT, columns_of, digits, lines, table

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
