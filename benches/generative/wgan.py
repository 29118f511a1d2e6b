"""Samples of `fashion-wgan-gp` beside those of the same network trained by PyTorch for as many rounds: the Frechet distance to the
test images in the features of a classifier trained by this program.

usage: python3 benches/generative/wgan.py --binary target/release/gridlight [--seeds 3] [--epochs 40] [--classifier runs/fashion-cnn]
(needs torch and safetensors)

Both have the same layers, batches of 32, two steps of the critic's for each of the generator's, Adam and averaged weights. PyTorch's
weights are put into a copy of the run, so that `gridlight evaluate` judges both. Both begin with the weights that this program
draws (with `--own-start` PyTorch with those that it draws itself); codes and the order of rows differ: compare means.
"""
import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", required=True)
arguments.add_argument("--seeds", type=int, default=3)
arguments.add_argument("--epochs", type=int, default=40)
arguments.add_argument("--classifier", help="a run of fashion-cnn; trained if it is not given")
arguments.add_argument("--own-start", action="store_true")
given = arguments.parse_args()
ROOT = Path(__file__).resolve().parents[2]
IMAGES, EXPERIMENTS = ROOT / "assets/data/images", ROOT / "assets/experiments"
BATCH, CRITIC_STEPS, LATENT, AVERAGE, PENALTY, RATE, BETAS = 32, 2, 32, 0.995, 10, 5e-4, (0.0, 0.9)


def gridlight(*words):
    done = subprocess.run([given.binary, *map(str, words), "--device", "cpu", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def idx(name, header):
    return torch.tensor(np.frombuffer((IMAGES / name).read_bytes(), np.uint8, offset=header).copy())


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(LATENT + 10, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 24 * 49), nn.BatchNorm1d(24 * 49), nn.ReLU(),
            nn.Unflatten(1, (24, 7, 7)), nn.ConvTranspose2d(24, 12, 4, 2, 1), nn.BatchNorm2d(12), nn.ReLU(),
            nn.ConvTranspose2d(12, 1, 4, 2, 1), nn.Sigmoid(),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(11, 12, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(12, 24, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(),
            nn.Linear(24 * 49, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1),
        )

    def draw(self, classes):
        return self.generator(torch.cat([torch.randn(len(classes), LATENT), classes], 1))

    def judge(self, images, classes):
        return self.discriminator(torch.cat([images, classes[:, :, None, None].expand(-1, -1, 28, 28)], 1))


def begun_with(folder, seed):
    """Initial weights: those after an epoch whose steps change nothing."""
    run = folder / f"start-{seed}"
    still = ["--set", "train.epochs=1", "--set", "train.learning_rate=1e-30"]
    gridlight("train", EXPERIMENTS / "fashion-wgan-gp.toml", "--seed", seed, *still, "--out", run)
    with safe_open(run / "best.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if not name.startswith("average") and "running" not in name}


def trained(seed, rounds, start):
    """The pair's weights, running statistics, and averages of the generator's weights."""
    torch.manual_seed(seed)
    x = idx("fashion-train5000-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28) / 255
    classes = F.one_hot(idx("fashion-train5000-labels-idx1-ubyte", 8).long(), 10).float()
    kept = torch.randperm(len(x))[: len(x) * 9 // 10]
    x, classes = x[kept], classes[kept]
    pair = Pair()
    if start is not None:
        with torch.no_grad():
            for name, p in pair.named_parameters():
                p.copy_(start.pop(name))
        assert not start, list(start)
    norms = [layer for layer in pair.generator if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    painter, judge = (torch.optim.Adam(part.parameters(), RATE, BETAS) for part in (pair.generator, pair.discriminator))
    average = {name: p.detach().clone() for name, p in pair.generator.named_parameters()}
    order, step = [], 0
    while step < rounds:
        if len(order) < CRITIC_STEPS:
            order = list(torch.randperm(len(x))[: len(x) // (BATCH * CRITIC_STEPS) * BATCH * CRITIC_STEPS].split(BATCH))
        for _ in range(CRITIC_STEPS):
            rows = order.pop(0)
            # Running statistics are those of the generator's own steps.
            for norm in norms:
                norm.momentum = 0.0
            drawn = pair.draw(classes[rows]).detach()
            between = (drawn + torch.rand(BATCH, 1, 1, 1) * (x[rows] - drawn)).requires_grad_()
            slope, = torch.autograd.grad(pair.judge(between, classes[rows]).sum(), between, create_graph=True)
            length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
            loss = pair.judge(drawn, classes[rows]).mean() - pair.judge(x[rows], classes[rows]).mean()
            judge.zero_grad()
            (loss + PENALTY * ((length - 1) ** 2).mean()).backward()
            judge.step()
        for norm in norms:
            norm.momentum = 0.1
        painter.zero_grad()
        (-pair.judge(pair.draw(classes[rows]), classes[rows]).mean()).backward()
        painter.step()
        step += 1
        decay = min(AVERAGE, (step - 1) / (step + 9))
        for name, p in pair.generator.named_parameters():
            average[name].lerp_(p.detach(), 1 - decay)
    tensors = {name: tensor for name, tensor in pair.state_dict().items() if not name.endswith("num_batches_tracked")}
    return tensors | {f"average.generator.{name}": tensor for name, tensor in average.items()}


def put(tensors, notes, path):
    """Writes weights with the checksum that a run's file has: SHA-256 of the file with zeros in its place."""
    note = json.loads(notes["gridlight"])
    sum_before, zeros = note["sha256"], "0" * 64
    save_file(tensors, path, {"gridlight": notes["gridlight"].replace(sum_before, zeros)})
    bytes = path.read_bytes()
    path.write_bytes(bytes.replace(zeros.encode(), hashlib.sha256(bytes).hexdigest().encode(), 1))


def judged(run, classifier):
    found = gridlight("evaluate", run, "--features", classifier)[-1]["metrics"]
    return {name: found[name] for name in ["frechet", "precision", "recall"]}


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    classifier = given.classifier
    if classifier is None:
        classifier = folder / "classifier"
        gridlight("train", EXPERIMENTS / "fashion-cnn.toml", "--out", classifier)
    found = {"Gridlight": [], "PyTorch": []}
    for seed in range(given.seeds):
        run, other = folder / f"run-{seed}", folder / f"other-{seed}"
        begun = time.time()
        end = gridlight("train", EXPERIMENTS / "fashion-wgan-gp.toml", "--seed", seed, "--set", f"train.epochs={given.epochs}", "--out", run)[-1]
        found["Gridlight"].append(judged(run, classifier))
        print(f"seed {seed}: Gridlight, {end['steps']} rounds, {time.time() - begun:.0f} s: {found['Gridlight'][-1]}", flush=True)
        shutil.copytree(run, other)
        begun = time.time()
        with safe_open(run / "best.safetensors", "pt") as file:
            own, notes = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
        theirs = trained(seed, end["steps"], None if given.own_start else begun_with(folder, seed))
        assert {n: t.shape for n, t in own.items()} == {n: t.shape for n, t in theirs.items()}, (list(own), list(theirs))
        put(theirs, notes, other / "best.safetensors")
        found["PyTorch"].append(judged(other, classifier))
        print(f"seed {seed}: PyTorch, {time.time() - begun:.0f} s: {found['PyTorch'][-1]}", flush=True)
    means = {name: statistics.mean(one["frechet"] for one in all) for name, all in found.items()}
    print(f"mean distance: {means}, ratio {means['Gridlight'] / means['PyTorch']:.3f}")
