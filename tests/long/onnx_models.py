#!/usr/bin/env python3
"""Imports models that PyTorch exports, and compares with what PyTorch computes.

Makes small models of many kinds with random weights, exports each (with both exporters where `onnxscript` is
installed, with a fixed and with a dynamic batch), runs `gridlight import` on random inputs of 1, 3 and 8 rows, and compares
the outputs: within 1e-5 of the larger of their size and the root mean square. Then each kind, with a dense layer on
top, is trained for 50 steps of plain gradient descent and 50 of Adam from its exported weights, here and in PyTorch, on
numbers and, with each ending that classifiers have, on classes: losses may differ by 1e-4. `onnx_makers.py` does the same
with models of Keras and scikit-learn.

    pip install torch onnx==1.21.0 numpy onnxscript
    tests/long/onnx_models.py [--binary target/debug/gridlight] [--device cpu] [--only TEXT] [--part outputs|tuning]
"""

import argparse
import json
import logging
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy
import torch
from torch import nn
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5
STEPS = 50
RULES = {"sgd": 0.01, "adam": 0.001}
# How classifiers end, and how many classes they have.
ENDINGS = {"scores": (None, 3), "softmax": (nn.Softmax(1), 3), "log-softmax": (nn.LogSoftmax(1), 3), "sigmoid": (nn.Sigmoid(), 1)}


class Of(nn.Module):
    """A module from a function of its parts."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.function = forward

    def forward(self, *x):
        return self.function(self, *x)


def residual():
    def forward(m, x):
        h = F.relu(m.a(m.conv1(x)))
        return F.relu(m.b(m.conv2(h)) + m.c(m.down(x))).mean((2, 3))
    return Of(forward, conv1=nn.Conv2d(3, 8, 3, 2, 1, bias=False), a=nn.BatchNorm2d(8),
              conv2=nn.Conv2d(8, 8, 3, 1, 1, bias=False), b=nn.BatchNorm2d(8),
              down=nn.Conv2d(3, 8, 1, 2, bias=False), c=nn.BatchNorm2d(8))


def unet():
    def forward(m, x):
        a = F.relu(m.a(x))
        b = F.relu(m.b(F.max_pool2d(a, 2)))
        return m.out(torch.cat([a, m.up(b)], 1))
    return Of(forward, a=nn.Conv2d(1, 4, 3, padding=1), b=nn.Conv2d(4, 8, 3, padding=1),
              up=nn.ConvTranspose2d(8, 4, 2, 2), out=nn.Conv2d(8, 2, 1))


def attention():
    def forward(m, x):
        B, T, C = x.shape
        q, k, v = m.qkv(x).view(B, T, 3, 2, C // 2).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / (C // 2) ** 0.5).softmax(-1)
        return m.out((weights @ v).transpose(1, 2).reshape(B, T, C)).mean(1)
    return Of(forward, qkv=nn.Linear(8, 24), out=nn.Linear(8, 8))


def causal():
    def forward(m, x):
        # PyTorch's new exporter takes it with an axis of heads alone.
        q, k, v = (part(x).unsqueeze(1) for part in (m.q, m.k, m.v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0, -1]
    return Of(forward, q=nn.Linear(6, 6), k=nn.Linear(6, 6), v=nn.Linear(6, 6))


def tcn():
    def forward(m, x):
        h = F.relu(m.a(F.pad(x, (2, 0))))
        return m.out(F.relu(m.b(F.pad(h, (4, 0))))[:, :, -1])
    return Of(forward, a=nn.Conv1d(4, 8, 3), b=nn.Conv1d(8, 8, 3, dilation=2), out=nn.Linear(8, 2))


def recurrent(kind, layers=1, both=False):
    directions = 2 if both else 1
    cell = kind(5, 6, layers, batch_first=True, bidirectional=both)
    return Of(lambda m, x: m.out(m.rnn(x)[0][:, -1]), rnn=cell, out=nn.Linear(6 * directions, 3))


def depthwise():
    return nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 4, 1), nn.Hardswish(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def squeeze_excite():
    def forward(m, x):
        scale = torch.sigmoid(m.b(F.relu(m.a(F.adaptive_avg_pool2d(x, 1)))))
        return (x * scale).mean((2, 3))
    return Of(forward, a=nn.Conv2d(4, 2, 1), b=nn.Conv2d(2, 4, 1))


def embedding():
    return Of(lambda m, x: m.out(m.table(x)), table=nn.Embedding(11, 4), out=nn.Linear(4, 2))


def vae():
    def forward(m, x):
        h = F.relu(m.a(x))
        return torch.sigmoid(m.out(F.relu(m.b(m.mean(h)))))
    return Of(forward, a=nn.Linear(12, 8), mean=nn.Linear(8, 2), b=nn.Linear(2, 8), out=nn.Linear(8, 12))


def swin_like():
    def forward(m, x):
        B = x.shape[0]
        x = m.patch(x).flatten(2).transpose(1, 2)
        x = x.view(B, 2, 2, 2, 2, 8).permute(0, 1, 3, 2, 4, 5).reshape(B * 4, 4, 8)
        return m.norm(x).reshape(B, 16, 8).mean(1)
    return Of(forward, patch=nn.Conv2d(3, 8, 2, 2), norm=nn.LayerNorm(8))


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
    return Of(lambda m, x: m.encoder(x).mean(1), encoder=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 3)), (7,)),
    "mlp of many activations": (lambda: nn.Sequential(
        nn.Linear(7, 8), nn.Tanh(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8), nn.ELU(),
        nn.Linear(8, 8), nn.LeakyReLU(0.2), nn.Linear(8, 8), nn.Softplus(), nn.Linear(8, 8), nn.Sigmoid(),
        nn.Linear(8, 8), nn.Hardsigmoid(), nn.Linear(8, 8), nn.SELU(), nn.Linear(8, 8), nn.Mish(), nn.Linear(8, 2)), (7,)),
    "mlp with dropout and softmax": (lambda: nn.Sequential(
        nn.Linear(7, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1)), (7,)),
    "mlp with batch norm": (lambda: nn.Sequential(nn.Linear(7, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)), (7,)),
    "mlp with layer norm": (lambda: nn.Sequential(nn.Linear(7, 8), nn.LayerNorm(8), nn.PReLU(8), nn.Linear(8, 2)), (7,)),
    "cnn": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU(),
                                  nn.Flatten(), nn.Linear(32, 10)), (1, 8, 8)),
    "cnn with batch norm": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2),
                                                  nn.Flatten(), nn.Linear(36, 4)), (1, 8, 8)),
    "cnn with group norm": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.ReLU(),
                                                  nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)), (3, 6, 6)),
    "cnn with instance norm": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.InstanceNorm2d(4, affine=True)),
                               (3, 7, 7)),
    "residual block": (residual, (3, 8, 8)),
    "depthwise convolution": (depthwise, (6, 5, 5)),
    "squeeze and excitation": (squeeze_excite, (4, 5, 5)),
    "dilated convolution": (lambda: nn.Conv2d(2, 3, 3, padding=2, dilation=2), (2, 7, 6)),
    "u-net": (unet, (1, 8, 8)),
    "transposed convolution": (lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, 1, groups=1), (3, 5, 4)),
    "upsampling, nearest": (lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.Upsample(scale_factor=2)), (2, 4, 5)),
    "upsampling, bilinear": (lambda: nn.Upsample(size=(9, 7), mode="bilinear"), (2, 4, 5)),
    "upsampling, aligned": (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), (2, 4, 5)),
    "upsampling, bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (2, 4, 5)),
    "pixel shuffle": (lambda: nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.PixelShuffle(2)), (1, 4, 4)),
    "1-d convolution": (lambda: nn.Sequential(nn.Conv1d(3, 6, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(),
                                              nn.Linear(18, 2)), (3, 9)),
    "tcn": (tcn, (4, 9)),
    "autoencoder": (lambda: nn.Sequential(nn.Linear(10, 4), nn.Tanh(), nn.Linear(4, 10)), (10,)),
    "vae's means": (vae, (12,)),
    "rnn": (lambda: recurrent(nn.RNN), (6, 5)),
    "lstm": (lambda: recurrent(nn.LSTM), (6, 5)),
    "gru": (lambda: recurrent(nn.GRU), (6, 5)),
    "lstm, two layers, both ways": (lambda: recurrent(nn.LSTM, 2, True), (6, 5)),
    "gru, both ways": (lambda: recurrent(nn.GRU, 1, True), (6, 5)),
    "attention": (attention, (5, 8)),
    "causal attention": (causal, (5, 6)),
    "transformer encoder": (encoder, (5, 8)),
    "windows of patches": (swin_like, (3, 8, 8)),
    "embedding": (embedding, None),
    "waves": (lambda: Of(lambda m, x: m.out(torch.sin(3 * m.a(x)) + torch.cos(m.b(x))), a=nn.Linear(4, 8), b=nn.Linear(4, 8),
                         out=nn.Linear(8, 2)), (4,)),
    "log-softmax": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1)), (4,)),
    "padding by reflection": (lambda: nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(1, 2, 3)), (1, 5, 5)),
}


def cell(x):
    return x if numpy.isfinite(x) else str(x)


def run_import(binary, device, model, arrays, place):
    given = {name: {"shape": list(a.shape), "data": [cell(float(x)) for x in a.reshape(-1)]} for name, a in arrays.items()}
    (place / "in.json").write_text(json.dumps(given))
    run = subprocess.run([binary, "import", model, "--inputs", place / "in.json", "--output", place / "out.json",
                          "--device", device], capture_output=True, text=True)
    if run.returncode:
        return None, run.stderr.strip().splitlines()[-1]
    return [numpy.array([float(x) for x in v["data"]]).reshape(v["shape"])
            for v in json.loads((place / "out.json").read_text()).values()], ""


def compare(got, wanted):
    if got.shape != wanted.shape:
        return float("inf")
    rms = float(numpy.sqrt((wanted ** 2).mean())) if wanted.size else 0.0
    return float((numpy.abs(got - wanted) / (numpy.maximum(numpy.abs(wanted), rms) + 1e-30)).max())


def exporters():
    found = [("legacy", False)]
    try:
        import onnxscript  # noqa: F401
        found.append(("dynamo", True))
    except ImportError:
        print("onnxscript is not installed: PyTorch's new exporter is not tried")
    return found


def export(module, x, path, dynamo, dynamic, **more):
    shapes = more | {"dynamo": dynamo, "input_names": ["x"], "output_names": ["y"], "verbose": False}
    if dynamic and not dynamo:
        shapes["dynamic_axes"] = {"x": {0: "n"}, "y": {0: "n"}}
    if dynamic and dynamo:
        shapes["dynamic_shapes"] = ({0: torch.export.Dim("n", min=1)},) if not isinstance(module, Of) else None
        if shapes["dynamic_shapes"] is None:
            shapes["dynamic_shapes"] = (({0: torch.export.Dim("n", min=1)},),)
    torch.onnx.export(module, (x,), str(path), **shapes)


def outputs(arguments, place):
    wrong = tried = refused = 0
    for name, (make, shape) in MODELS.items():
        if arguments.only not in name:
            continue
        torch.manual_seed(len(name))
        module = make()
        for part in module.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2.0)
        module.eval()
        draw = lambda rows: torch.randn(rows, *shape) if shape else torch.randint(0, 11, (rows,))
        for exporter, dynamo in exporters():
            for dynamic in (False, True):
                label = f"{name}, {exporter} exporter, {'dynamic' if dynamic else 'fixed'} batch"
                path = place / "model.onnx"
                try:
                    export(module, draw(3 if dynamic else 1), path, dynamo, dynamic)
                except Exception as error:
                    print(f"  not exported: {label}: {str(error).splitlines()[0][:100]}")
                    continue
                for rows in (1, 3, 8):
                    tried += 1
                    x = draw(rows)
                    with torch.no_grad():
                        wanted = module(x).numpy()
                    found, reason = run_import(arguments.binary, arguments.device, path, {"x": x.numpy()}, place)
                    if not dynamic and rows != 1 and "dynamic batch" in reason:
                        # A shape that does not tell where rows lie: refused, with the way out.
                        refused += 1
                        print(f"  refused: {label}, {rows} rows")
                        continue
                    error = compare(found[0], wanted) if found else None
                    if error is None or error > TOLERANCE:
                        wrong += 1
                        print(f"WRONG {label}, {rows} rows: {reason or error}")
    return tried, refused, wrong


class Headed(nn.Module):
    """A model with some numbers for each row, and what follows them in the file alone."""

    def __init__(self, body, x, outputs=1):
        super().__init__()
        self.body = body
        with torch.no_grad():
            self.head = nn.Linear(body(x).flatten(1).shape[1], outputs)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


def losses_of(binary, device, place, model, columns, target, more="", loss="mse", steps=10, rule="sgd", rate=0.01):
    """The training losses of some steps on all rows, from a model in a file; or none, and why."""
    names = list(columns) + ["y"]
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), target)]
    # Twice, so that as many rows validate as train.
    (place / "rows.csv").write_text("\n".join([",".join(names)] + lines + lines) + "\n")
    (place / "tune.toml").write_text(f"""name = "tune"
[data]
source = "rows.csv"
target = "y"
[data.transform]
numbers = "none"
target = "none"
[data.split]
by = "order"
validation = 0.5
test = 0.0
[model]
from = "{model}"
{more}
[train]
epochs = {steps}
batch_size = {len(lines)}
shuffle = false
optimizer = "{rule}"
learning_rate = {rate}
loss = "{loss}"
""")
    out = place / "tuned"
    run = subprocess.run([binary, "train", place / "tune.toml", "--out", out, "--device", device, "--json"],
                         capture_output=True, text=True)
    shutil.rmtree(out, ignore_errors=True)
    if run.returncode:
        return None, run.stderr.strip().splitlines()[-1]
    events = [json.loads(line) for line in run.stdout.splitlines()]
    return [float(e["train"]["loss"]) for e in events if e["event"] == "epoch"], ""


def without_dropout(module):
    """The module as files have it, but for dropout, whose draws differ."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        # Attention drops by a number of its own, and takes another way where nothing is trained.
        if isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    return module.eval()


def in_pytorch(module, x, y, loss, rule):
    """The losses of steps on all rows."""
    module.train()
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule](module.parameters(), lr=RULES[rule])
    losses = []
    for _ in range(STEPS):
        found = loss(module(x), y)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return losses


def tuning(arguments, place):
    """Trains every kind here and in PyTorch: on numbers, and on classes with one of the endings in turn."""
    wrong = tried = 0
    endings = list(ENDINGS.items())
    kinds = [(name, *kind) for name, kind in MODELS.items() if kind[1] is not None]
    for at, (name, make, shape) in enumerate(kinds):
        if arguments.only not in name:
            continue
        ending, (last, classes) = endings[at % len(endings)]
        for goal in ["number", ending]:
            for rule, rate in RULES.items():
                torch.manual_seed(len(name))
                rows = 6
                x, y = torch.randn(rows, *shape), torch.randn(rows)
                module = without_dropout(Headed(make().eval(), x, 1 if goal == "number" else classes))
                target, tuned = y.tolist(), "mse"
                loss = lambda found, y: F.mse_loss(found[:, 0], y)
                if goal != "number":
                    y = torch.arange(rows) % max(classes, 2)
                    target, tuned, loss = ["abc"[k] for k in y], "cross_entropy", F.cross_entropy
                if goal == "sigmoid":
                    tuned, loss = "bce_with_logits", lambda found, y: F.binary_cross_entropy_with_logits(found[:, 0], y.float())
                path = place / "model.onnx"
                export(nn.Sequential(module, last) if goal != "number" and last else module, x[:3], path, False, True,
                       # Norms are not folded into convolutions.
                       training=torch.onnx.TrainingMode.PRESERVE)
                flat = x.reshape(rows, -1).numpy()
                columns = {f"x{at}": flat[:, at].tolist() for at in range(flat.shape[1])}
                found, reason = losses_of(arguments.binary, arguments.device, place, path, columns, target,
                                          loss=tuned, steps=STEPS, rule=rule, rate=rate)
                wanted = in_pytorch(module, x, y, loss, rule)
                tried += 1
                errors = [abs(a - b) / max(1.0, abs(b)) for a, b in zip(found, wanted)] if found else []
                if len(errors) != STEPS or not max(errors) < 1e-4:
                    wrong += 1
                    print(f"WRONG fine-tuning of {name}, {goal}, {rule}: {reason or max(errors, default=None)}")
    return tried, wrong


def main():
    sys.stdout.reconfigure(line_buffering=True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/debug/gridlight")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="")
    parser.add_argument("--part", choices=["outputs", "tuning"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        if arguments.part != "tuning":
            tried, refused, wrong = outputs(arguments, pathlib.Path(place))
            print(f"{len(MODELS)} kinds of models, {tried} comparisons, {refused} refused, {wrong} wrong")
        if arguments.part != "outputs":
            tuned, differ = tuning(arguments, pathlib.Path(place))
            print(f"{tuned} trainings of {STEPS} steps, {differ} otherwise than in PyTorch")
            wrong += differ
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
