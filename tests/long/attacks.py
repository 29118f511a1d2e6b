#!/usr/bin/env python3
"""Compares attacks with the same loops in PyTorch on the exported weights.

Trains `digits-cnn`, exports its weights, attacks the first test rows with `gridlight robustness`, and repeats FGSM and
PGD (the same radii, steps and beginnings: one at the row itself, the others at random) in double precision in PyTorch.
Accuracies may differ by 0.5 points; where beginnings are random, 1 row more.

    pip install torch safetensors
    tests/long/attacks.py [--binary target/release/gridlight] [--rows 359] [--epochs 12] [--run DIRECTORY]
"""

import argparse
import csv
import json
import pathlib
import subprocess
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]


def weights(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    found = {}
    for name, info in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            start, end = (8 + size + at for at in info["data_offsets"])
            found[name] = torch.frombuffer(bytearray(data[start:end]), dtype=torch.float32).reshape(info["shape"])
    return found


def network(state):
    """The layers of `family = "cnn"`, by the shapes of their weights."""
    layers, last = [], max(int(name.split(".")[0]) for name in state)
    for at in range(last + 1):
        w = state.get(f"{at}.weight")
        if w is None:
            layers.append(None)
        elif w.dim() == 4:
            layers.append(nn.Conv2d(w.shape[1], w.shape[0], w.shape[2], padding=w.shape[2] // 2, bias=f"{at}.bias" in state))
        elif f"{at}.running_mean" in state:
            dense = any(isinstance(layer, nn.Linear) for layer in layers)
            layers.append((nn.BatchNorm1d if dense else nn.BatchNorm2d)(w.shape[0]))
        else:
            layers.append(nn.Linear(w.shape[1], w.shape[0]))
    for at, layer in enumerate(layers):
        if layer is None:
            # After a normalisation an activation, then pooling; before the first dense layer flattening.
            before = layers[at - 1]
            if isinstance(before, (nn.BatchNorm1d, nn.BatchNorm2d, nn.Linear)):
                layers[at] = nn.ReLU()
            elif isinstance(before, nn.ReLU) and isinstance(layers[at - 2], nn.BatchNorm2d):
                layers[at] = nn.MaxPool2d(2)
            else:
                layers[at] = nn.Flatten()
    net = nn.Sequential(*layers)
    named = {k: v for k, v in net.state_dict().items()}
    for k in named:
        named[k] = state[k] if k in state else named[k]
    net.load_state_dict(named)
    return net.double().eval()


def step(x, clean, gradient, norm, length, radius, room):
    slopes = gradient * room
    if norm == "linf":
        moved = x + length * slopes.sign() * room
        changes = ((moved - clean) / room).clamp(-radius, radius)
    else:
        size = slopes.flatten(1).norm(dim=1).clamp_min(1e-300)[:, None, None, None]
        changes = (x + length * slopes / size * room - clean) / room
        size = changes.flatten(1).norm(dim=1)[:, None, None, None]
        changes = changes * torch.where(size > radius, radius / size, torch.ones_like(size))
    return clean + changes * room


def gradient(net, x, y):
    x = x.clone().requires_grad_()
    logits = net(x)
    found, = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), x)
    return logits.argmax(1) != y, found


def attack(net, clean, y, kind, norm, radius, steps, restarts, low, high):
    room = torch.full_like(clean, high - low)
    wrong = torch.zeros(len(clean), dtype=torch.bool)
    if kind == "fgsm":
        _, g = gradient(net, clean, y)
        x = step(clean, clean, g, norm, radius, radius, room).clamp(low, high)
        return net(x).argmax(1) != y
    for restart in range(restarts):
        x = clean.clone()
        if restart:
            if norm == "linf":
                x = clean + radius * (2 * torch.rand_like(clean) - 1) * room
            else:
                e = torch.randn_like(clean)
                part = torch.rand(len(clean)) ** (1 / clean[0].numel())
                x = clean + radius * (part / e.flatten(1).norm(dim=1))[:, None, None, None] * e * room
            x = x.clamp(low, high)
        for _ in range(steps):
            missed, g = gradient(net, x, y)
            wrong |= missed
            x = step(x, clean, g, norm, 2.5 * radius / steps, radius, room).clamp(low, high)
        wrong |= net(x).argmax(1) != y
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/release/gridlight")
    parser.add_argument("--rows", type=int, default=359)
    parser.add_argument("--epochs", default="12")
    parser.add_argument("--run")
    options = parser.parse_args()
    torch.manual_seed(0)
    folder = pathlib.Path(tempfile.mkdtemp())
    run = pathlib.Path(options.run or folder / "run")

    def gridlight(*arguments):
        ended = subprocess.run([options.binary, *map(str, arguments), "--device", "cpu"], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    if not options.run:
        gridlight("train", ROOT / "assets/experiments/digits-cnn.toml", "--epochs", options.epochs, "--out", run)
    subprocess.run([options.binary, "export", run, "--output", folder / "net.safetensors"], check=True, capture_output=True)
    net = network(weights(folder / "net.safetensors"))
    rows = list(csv.reader(open(ROOT / "assets/data/images/digits8x8.csv")))[1:]
    table = torch.tensor([[float(cell) for cell in row] for row in rows], dtype=torch.float64)
    # As the run scaled them: the mean and the deviation of the training rows' pixels. Every fifth row is a test row.
    found = json.loads(gridlight("robustness", run, "--rows", f"1..{options.rows}", "--steps", 20, "--restarts", 3, "--json"))
    meta = json.loads(run.joinpath("best.safetensors").read_bytes()[8:8 + int.from_bytes(
        run.joinpath("best.safetensors").read_bytes()[:8], "little")])["__metadata__"]
    text = json.dumps({k: json.loads(v) if v[:1] in "{[" else v for k, v in meta.items()})
    image = find(json.loads(text), "image")
    shift, scale = image["scaling"][0]["shift"], image["scaling"][0]["scale"]
    low, high = ((bound - shift) / scale for bound in image["range"])
    test = table[4::5][:options.rows]
    clean, y = ((test[:, :64] - shift) / scale).reshape(-1, 1, 8, 8), test[:, 64].long()
    here = (net(clean).argmax(1) == y).double().mean().item()
    print(f"clean: gridlight {found['clean']:.4f}, PyTorch {here:.4f}")
    assert abs(found["clean"] - here) < 1e-9
    worst = 0.0
    for of in found["attacks"]:
        if of["change"] == "noise":
            continue
        for radius, value in zip(of["strengths"], of["values"]):
            wrong = attack(net, clean, y, of["change"], of["norm"], radius, 20, 3, low, high)
            here = 1 - wrong.double().mean().item()
            worst = max(worst, abs(here - value))
            print(f"{of['change']} {of['norm']} {radius}: gridlight {value:.4f}, PyTorch {here:.4f}")
    print(f"largest difference: {100 * worst:.2f} points")
    assert worst <= 0.005 + 1 / options.rows, worst


def find(tree, key):
    """The first value of a key that is a table, anywhere in a tree."""
    if isinstance(tree, dict):
        if isinstance(tree.get(key), dict):
            return tree[key]
        tree = list(tree.values())
    for part in tree if isinstance(tree, list) else []:
        found = find(part, key)
        if found:
            return found
    return None


if __name__ == "__main__":
    main()
