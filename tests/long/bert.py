#!/usr/bin/env python3
"""Checks a step of a model of BERT's base size: 12 blocks of 768 features, 12 heads, 30,522 tokens, 128 tokens of a text,
8 texts a batch, about 110 million parameters.

The plan must be there within 5 seconds, what is planned must be what training allocates, and the loss of a step from given
weights must be PyTorch's within 1e-4 of its size. Texts are of different lengths, so that what follows their ends matters.

    pip install torch numpy tokenizers
    tests/long/bert.py [--binary target/release/gridlight] [--blocks 12]
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]

import numpy
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

WIDTH, HEADS, LENGTH, BATCH, VOCABULARY, CLASSES = 768, 12, 128, 8, 30_522, 4
TOLERANCE = 1e-4


def tokenizer():
    """As GPT-2's, with merges of pairs of bytes, and of pairs of pairs until there are as many tokens as BERT's."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (chr(256 + at) for at in range(256))
    symbols = [chr(byte) if byte in kept else next(others) for byte in range(256)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = [a + b for a in letters for b in letters]
    merges = [(a, b) for a in letters for b in letters]
    for a in pairs:
        merges += [(a, b) for b in pairs]
    merges = merges[: VOCABULARY - 256]
    vocabulary = {token: at for at, token in enumerate([*symbols, *(a + b for a, b in merges)])}
    assert len(vocabulary) == VOCABULARY
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocabulary, "merges": [f"{a} {b}" for a, b in merges]},
    }


def texts(draw):
    """Rows of the three parts; the training part is one batch."""
    rows = []
    for part, count in [("train", BATCH), ("validation", 4), ("test", 4)]:
        for at in range(count):
            words = ["".join(draw.choice(list("abcdefghijkl"), draw.integers(2, 9))) for _ in range(200 if at % 2 else 9 * at + 5)]
            rows.append((" ".join(words), f"class {at % CLASSES}", part))
    return rows


EXPERIMENT = """
name = "bert"
seed = 0
[data]
source = "texts.csv"
target = "kind"
text = {{ column = "text", length = {length}, tokens = {{ file = "tokenizer.json" }} }}
split = {{ by = "column", column = "part" }}
[model]
family = "transformer"
width = {width}
heads = {heads}
blocks = {blocks}
activation = "gelu"
[train]
epochs = 1
batch_size = {batch}
loss = "cross_entropy"
learning_rate = 1e-4
optimizer = {{ type = "adamw" }}
"""


def shapes(path):
    """Names and shapes of a safetensors file's tensors."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__" and not name.startswith("optimizer.")}


def write(path, tensors):
    header, at = {}, 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            file.write(value.tobytes())


def loss_of(state, blocks, ids, lengths, labels):
    """The network in PyTorch: blocks that normalise first, a norm, the mean over each text's tokens, a dense layer."""
    state = {name: torch.from_numpy(value) for name, value in state.items()}
    here = torch.arange(LENGTH)[None] < lengths[:, None]
    h = state["embedding.weight"][ids] + state["0.weight"]
    for at in range(1, blocks + 1):
        block = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, functional.gelu, batch_first=True, norm_first=True)
        own = {name[len(f"{at}.") :]: value for name, value in state.items() if name.startswith(f"{at}.")}
        block.load_state_dict(own)
        h = block(h, src_key_padding_mask=~here)
    h = functional.layer_norm(h, [WIDTH], state[f"{blocks + 1}.weight"], state[f"{blocks + 1}.bias"])
    mean = (h * here[..., None]).sum(1) / lengths[:, None]
    head = next(name[: -len(".weight")] for name, value in state.items() if list(value.shape) == [CLASSES, WIDTH])
    return functional.cross_entropy(functional.linear(mean, state[f"{head}.weight"], state[f"{head}.bias"]), labels).item()


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--binary", default=str(HERE.parents[1] / "target/release/gridlight"))
    options.add_argument("--blocks", type=int, default=12)
    options = options.parse_args()
    options.binary = str(pathlib.Path(options.binary).resolve())
    draw = numpy.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        (place / "tokenizer.json").write_text(json.dumps(tokenizer()))
        rows = texts(draw)
        (place / "texts.csv").write_text("\n".join(["text,kind,part", *(",".join(row) for row in rows)]) + "\n")
        settings = {"width": WIDTH, "heads": HEADS, "length": LENGTH, "batch": BATCH, "blocks": options.blocks}
        (place / "bert.toml").write_text(EXPERIMENT.format(**settings))

        def gridlight(*arguments):
            ended = subprocess.run([options.binary, *arguments], cwd=place, capture_output=True, text=True)
            if ended.returncode != 0:
                sys.exit(f"gridlight {' '.join(arguments)}: exit code {ended.returncode}\n{ended.stderr}")
            return ended.stdout

        began = time.monotonic()
        plan = json.loads(gridlight("plan", "bert.toml", "--device", "cpu", "--json"))
        planning = time.monotonic() - began
        gridlight("train", "bert.toml", "--device", "cpu", "--max-steps", "1", "--out", "shapes", "--quiet")
        found = shapes(place / "shapes/best.safetensors")
        weights = {}
        for name, shape in found.items():
            norm = "norm" in name or name.startswith(f"{options.blocks + 1}.")
            value = draw.normal(1.0 if norm and name.endswith("weight") else 0.0, 0.05, shape)
            weights[name] = value.astype(numpy.float32)
        write(place / "weights.safetensors", weights)
        began = time.monotonic()
        told = gridlight("train", "bert.toml", "--device", "cpu", "--max-steps", "1", "--out", "run", "--json", "--init", "weights.safetensors")
        took = time.monotonic() - began
        events = [json.loads(line) for line in told.splitlines()]
        start = next(event for event in events if event["event"] == "start")
        # Of one step, before the weights change.
        loss = next(event["train"]["loss"] for event in events if event["event"] == "epoch")

        encode = Tokenizer.from_file(str(place / "tokenizer.json"))
        kinds = sorted({kind for _, kind, _ in rows})
        batch = [row for row in rows if row[2] == "train"]
        tokens = [encode.encode(text).ids[:LENGTH] for text, _, _ in batch]
        # Symbol 0 is what follows the end of a text; the tokens come next, and the symbol that hides others last.
        ids = torch.tensor([[token + 1 for token in row] + [0] * (LENGTH - len(row)) for row in tokens])
        lengths = torch.tensor([len(row) for row in tokens])
        labels = torch.tensor([kinds.index(kind) for _, kind, _ in batch])
        with torch.no_grad():
            expected = loss_of(weights, options.blocks, ids, lengths, labels)
        count = sum(value.size for value in weights.values())
        planned = plan["peak_bytes"]
        print(f"{count:,} parameters; planned within {planning:.1f} s; {planned:,} bytes planned, {start['peak_bytes']:,} allocated")
        print(f"texts of {lengths.tolist()} tokens; loss {loss:.6f}, PyTorch's {expected:.6f}; a step with all around it {took:.1f} s")
        wrong = []
        if planning > 5:
            wrong.append("planning took more than 5 s")
        if planned != start["peak_bytes"]:
            wrong.append("what is allocated is not what was planned")
        if not abs(loss - expected) <= TOLERANCE * abs(expected):
            wrong.append("the losses differ")
        sys.exit("; ".join(wrong) or 0)


main()
