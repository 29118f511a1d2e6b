#!/usr/bin/env python3
"""Checks that low-rank adapters train as the same adapters in PyTorch do.

Trains a small network of rows and a transformer of series, then its adapters from these weights (`model.lora`,
`--init`), first a step of plain gradient descent, whose change is the gradient, then 50 steps of AdamW, and the same in
PyTorch from the adapters of the run's first checkpoint. Losses and adapters may differ by 1e-4 of their size. What is
frozen must keep its bits, and predictions must be those of the exported weights, into which adapters are merged.

    pip install torch numpy
    tests/long/lora.py [--binary target/release/gridlight]
"""

import argparse
import importlib.util
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]

import numpy
import torch
from torch import nn
from torch.nn import functional

ROOT = HERE.parents[1]
TOLERANCE = 1e-4
RANK, ALPHA = 3, 12


def beside(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tensors(path):
    """The tensors of a safetensors file by name."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    found = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__" and not name.startswith("optimizer."):
            first, last = (8 + length + at for at in entry["data_offsets"])
            found[name] = torch.from_numpy(numpy.frombuffer(data[first:last], "<f4").reshape(entry["shape"]).copy())
    return found


def projected(state, layer, x, weight="weight", bias="bias"):
    """A dense layer with what its adapter adds, if it has one."""
    y = functional.linear(x, state[f"{layer}.{weight}"], state.get(f"{layer}.{bias}"))
    if f"{layer}.lora_A.weight" in state:
        low = functional.linear(x, state[f"{layer}.lora_A.weight"])
        y = y + ALPHA / RANK * functional.linear(low, state[f"{layer}.lora_B.weight"])
    return y


def rows(state, x):
    h = torch.tanh(projected(state, "0", x))
    h = torch.tanh(projected(state, "2", h))
    return projected(state, "4", h)


def sequences(state, x):
    """Tokens, learned positions, one block that normalises first, a norm and the mean: `family = "transformer"`."""
    h = projected(state, "0", x.reshape(len(x), -1, 1)) + state["1.weight"]
    norm = lambda h, name: functional.layer_norm(h, h.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])
    n = norm(h, "2.norm1")
    q, k, v = projected(state, "2.self_attn", n, "in_proj_weight", "in_proj_bias").chunk(3, -1)
    split = lambda x: x.reshape(*x.shape[:2], 2, -1).transpose(1, 2)
    y = functional.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).reshape(h.shape)
    h = h + projected(state, "2.self_attn.out_proj", y)
    n = norm(h, "2.norm2")
    h = h + projected(state, "2.linear2", torch.relu(projected(state, "2.linear1", n)))
    return projected(state, "5", norm(h, "3").mean(1))


def follow(state, trained, network, batch, rates, optimizer):
    """The losses of steps that train some tensors."""
    state = {name: value.clone().requires_grad_(name in trained) for name, value in state.items()}
    own = [state[name] for name in trained]
    rule = torch.optim.SGD(own, lr=1.0) if optimizer == "sgd" else torch.optim.AdamW(own, lr=1.0, weight_decay=0.1)
    losses = []
    for step, rate in enumerate(rates):
        rule.param_groups[0]["lr"] = rate
        named = {name: torch.from_numpy(value.copy()) for name, value in batch(step).items()}
        y = network(state, named["x"])
        loss = functional.cross_entropy(y, named["y"]) if y.shape[1] > 1 else functional.mse_loss(y[:, 0], named["y"])
        rule.zero_grad()
        loss.backward()
        rule.step()
        losses.append(loss.item())
    return losses, {name: value.detach() for name, value in state.items()}


def differ(found, expected):
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-6))


def check(binary, place, steps, name, kind, settings, network, fitted, lora, adapters):
    experiment = place / f"{name}.toml"
    experiment.write_text(settings)
    base = place / "runs" / f"{name}-base"
    steps.steps(binary, place, base, experiment, 20)
    start = tensors(base / "best.safetensors")
    batch = steps.batch_of(kind, place, fitted, 20)
    worst = 0.0
    for optimizer, count in [("sgd", 1), ("adamw", 50)]:
        run = place / "runs" / f"{name}-{optimizer}"
        rule = 'train.optimizer={type="sgd"}' if optimizer == "sgd" else 'train.optimizer={type="adamw",weight_decay=0.1}'
        more = ["--init", base / "best.safetensors", "--set", f"model.lora={lora}", "--set", rule]
        more += ["--set", f"train.checkpoint_every_steps={count}"]
        events = steps.steps(binary, place, run, experiment, count, *more)
        first, last = (tensors(run / f"checkpoints/step-{step}.safetensors") for step in (0, count))
        trained = sorted(name for name in first if name not in start)
        assert trained == sorted(f"{layer}.lora_{part}.weight" for layer in adapters for part in "AB"), trained
        assert all(float(first[name].abs().max()) == 0 for name in trained if ".lora_B." in name)
        for tensor, value in start.items():
            assert torch.equal(value, first[tensor]) and torch.equal(value, last[tensor]), f"{tensor} has changed"
        rates = [events[step]["learning_rate"] for step in range(1, count + 1)]
        losses, after = follow(first, trained, network, batch, rates, optimizer)
        for step, loss in enumerate(losses, 1):
            worst = max(worst, abs(loss - events[step]["loss"]) / max(1.0, abs(loss)))
        for tensor in trained:
            change = differ(last[tensor] - first[tensor], after[tensor] - first[tensor]) if optimizer == "sgd" else 0.0
            worst = max(worst, change, differ(last[tensor], after[tensor]))
    merged = place / f"{name}.safetensors"
    ended = subprocess.run([binary, "export", run, "--output", merged], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    plain, x = tensors(merged), torch.from_numpy(batch(0)["x"].copy())
    assert plain.keys() == start.keys()
    both = tensors(run / "best.safetensors")
    worst = max(worst, differ(network(plain, x), network(both, x)))
    assert differ(network(plain, x), network(start, x)) > 1e-3, "adapters did nothing"
    print(f"{'ok  ' if worst <= TOLERANCE else 'BAD '} {name}: {len(adapters)} adapters, worst difference {worst:.1e}")
    return worst <= TOLERANCE


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/release/gridlight", type=pathlib.Path)
    binary = parser.parse_args().binary.resolve()
    steps = beside("onnx_step")
    head = 'name = "n"\n[data]\nsource = "{source}"\ntarget = "{target}"\n{data}\n' + steps.PLAIN
    train = steps.TRAIN.replace("checkpoint_every_steps = 1000000\n", "") + "batch_size = 20\nlearning_rate = 0.02\n"
    mlp = head.format(source="table.csv", target="k", data='features = ["a", "b", "c", "d"]')
    mlp += '[model]\nhidden = [16, 8]\nactivation = "tanh"\n' + train + 'loss = "cross_entropy"\n'
    series = head.format(source="series.csv", target="y", data="[data.window]\nlength = 12\n")
    series += '[model]\nfamily = "transformer"\nwidth = 16\nheads = 2\nblocks = 1\n' + train
    settings = f"rank={RANK},alpha={ALPHA}"
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        steps.table(place)
        steps.series(place)
        kinds = {"y": numpy.int64, "length": 12}
        good = [
            check(binary, place, steps, "rows", "table", mlp, rows, kinds, f"{{{settings}}}", ["0", "2", "4"]),
            check(
                binary, place, steps, "sequences", "series", series, sequences, kinds,
                f'{{{settings},layers=["*.self_attn*","*.linear1"]}}',
                ["2.self_attn", "2.self_attn.out_proj", "2.linear1"],
            ),
        ]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
