#!/usr/bin/env python3
"""Compares adversarial training with the same loop in PyTorch.

Trains the network of `digits-cnn` without augmentation, plainly and against projected gradient descent (Madry et al.,
7 steps, l-inf 0.1), here and in PyTorch, with the same rows, layers, initialisation rule, optimizer, schedule and number
of epochs, and attacks all four with PyTorch's PGD of 20 steps and 3 beginnings. Random numbers differ, so accuracies do:
means over `--seeds` may differ by 4 points.

    pip install torch safetensors
    tests/long/adversarial.py [--binary target/release/gridlight] [--epochs 40] [--seeds 3]
"""

import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F

from attacks import ROOT, attack, find, network, step, weights

RADIUS, STEPS, BATCH = 0.1, 7, 32


def fresh():
    layers = []
    for inputs, outputs in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


def moved(net, x, y, low, high):
    """The rows as projected gradient descent changes them; the network as it is evaluated."""
    net.eval()
    room = torch.full_like(x, high - low)
    found = (x + RADIUS * (2 * torch.rand_like(x) - 1) * room).clamp(low, high)
    for _ in range(STEPS):
        at = found.clone().requires_grad_()
        slope, = torch.autograd.grad(F.cross_entropy(net(at), y, reduction="sum"), at)
        found = step(found, x, slope, "linf", 2.5 * RADIUS / STEPS, RADIUS, room).clamp(low, high)
    net.train()
    return found.detach()


def trained(x, y, low, high, epochs, hardened):
    net = fresh()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    each = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, each * epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[:each * BATCH].split(BATCH):
            batch = moved(net, x[rows], y[rows], low, high) if hardened else x[rows]
            optimizer.zero_grad()
            F.cross_entropy(net(batch), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return net.double().eval()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/release/gridlight")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    rows = list(csv.reader(open(ROOT / "assets/data/images/digits8x8.csv")))[1:]
    table = torch.tensor([[float(cell) for cell in row] for row in rows])
    test = torch.arange(len(table)) % 5 == 4
    found = {}
    for seed in range(options.seeds):
        for name in ("plain", "pgd"):
            run = folder / f"{name}-{seed}"
            keys = [f"train.adversarial={{method='pgd',radius={RADIUS},steps={STEPS}}}"] if name == "pgd" else []
            keys += ["data.augment={}", "data.split.validation=0.02", "train.early_stopping={patience=1000}"]
            sets = [word for key in keys for word in ("--set", key)]
            command = [options.binary, "train", ROOT / "assets/experiments/digits-cnn.toml", "--device", "cpu", "--out", run,
                       "--seed", str(seed), "--epochs", str(options.epochs), *sets]
            subprocess.run(command, check=True, capture_output=True)
            # The last weights, as PyTorch's loop ends with.
            last = max(run.joinpath("checkpoints").iterdir(), key=lambda file: int(file.stem.split("-")[1]))
            data = last.read_bytes()
            meta = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            image = find({k: json.loads(v) if v[:1] in "{[" else v for k, v in meta.items()}, "image")
            shift, scale = image["scaling"][0]["shift"], image["scaling"][0]["scale"]
            low, high = ((bound - shift) / scale for bound in image["range"])
            x = ((table[:, :64] - shift) / scale).reshape(-1, 1, 8, 8)
            y = table[:, 64].long()
            torch.manual_seed(seed)
            state = {k: v for k, v in weights(last).items() if k in fresh().state_dict()}
            nets = {"gridlight": network(state), "PyTorch": trained(x[~test], y[~test], low, high, options.epochs, name == "pgd")}
            for by, net in nets.items():
                clean = x[test].double()
                wrong = attack(net, clean, y[test], "pgd", "linf", RADIUS, 20, 3, low, high)
                right = (net(clean).argmax(1) == y[test]).double().mean().item()
                found.setdefault((name, by), []).append((right, 1 - wrong.double().mean().item()))
                print(f"seed {seed}, {name} by {by}: clean {right:.4f}, attacked {found[name, by][-1][1]:.4f}", flush=True)
    for name in ("plain", "pgd"):
        ours, theirs = ([statistics.mean(at) for at in zip(*found[name, by])] for by in ("gridlight", "PyTorch"))
        print(f"{name}: clean {ours[0]:.4f} and {theirs[0]:.4f}, attacked {ours[1]:.4f} and {theirs[1]:.4f}")
        assert name == "plain" or abs(ours[1] - theirs[1]) <= 0.04, (ours, theirs)


if __name__ == "__main__":
    main()
