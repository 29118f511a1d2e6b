"""Steps per second on the CPU of a graph convolutional network of two layers, here and in PyTorch: 10,000 nodes, 100,000
edges drawn at random, 64 features, 16 hidden units, 7 classes, all nodes in a step of Adam.

usage: python3 benches/peers/graphs.py [--gridlight target/release/gridlight] [--seconds S]   (needs torch and numpy)

PyTorch computes the sums over neighbours in two ways: a sparse CSR matrix times a dense one, and index_select with
index_add_. The figure of this program is `steps_per_second` of `train --json`, which leaves out validation.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

p = argparse.ArgumentParser()
p.add_argument("--gridlight")
p.add_argument("--seconds", type=float, default=8)
args = p.parse_args()
torch.set_num_threads(2)
NODES, EDGES, FEATURES, HIDDEN, CLASSES = 10_000, 100_000, 64, 16, 7

draw = np.random.default_rng(1)
pairs = np.unique(np.sort(draw.integers(0, NODES, (EDGES * 11 // 10, 2)), axis=1), axis=0)
pairs = draw.permutation(pairs[pairs[:, 0] != pairs[:, 1]])[: EDGES // 2]
x = draw.normal(size=(NODES, FEATURES)).astype(np.float32)
y = draw.integers(0, CLASSES, NODES)

both = np.concatenate([pairs, pairs[:, ::-1], np.stack([np.arange(NODES)] * 2, 1)])
source, target = torch.tensor(both[:, 0]), torch.tensor(both[:, 1])
root = torch.zeros(NODES).index_add_(0, target, torch.ones(len(both))) ** -0.5
weight = root[source] * root[target]
matrix = torch.sparse_coo_tensor(torch.stack([target, source]), weight, (NODES, NODES)).coalesce().to_sparse_csr()


def by_matrix(h):
    return matrix @ h


def by_index(h):
    return torch.zeros_like(h).index_add_(0, target, h.index_select(0, source) * weight[:, None])


class Net(nn.Module):
    def __init__(self, neighbours):
        super().__init__()
        self.neighbours = neighbours
        self.a, self.b = nn.Linear(FEATURES, HIDDEN, bias=False), nn.Linear(HIDDEN, CLASSES, bias=False)
        self.bias_a, self.bias_b = nn.Parameter(torch.zeros(HIDDEN)), nn.Parameter(torch.zeros(CLASSES))

    def forward(self, x):
        h = F.relu(self.neighbours(self.a(x)) + self.bias_a)
        return self.neighbours(self.b(h)) + self.bias_b


for neighbours in [by_matrix, by_index]:
    torch.manual_seed(1)
    net, inputs, labels = Net(neighbours), torch.tensor(x), torch.tensor(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    steps, begun = 0, None
    while begun is None or time.time() - begun < args.seconds:
        optimizer.zero_grad()
        F.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
        steps += 1
        if steps == 3:
            steps, begun = 0, time.time()
    print(f"torch {torch.__version__} {neighbours.__name__}: {steps / (time.time() - begun):.1f} steps/s")

if args.gridlight:
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        # A validation row has to be there; the last node is one.
        with open(folder / "nodes.csv", "w") as file:
            file.write("node,label,part," + ",".join(f"x{i}" for i in range(FEATURES)) + "\n")
            for node in range(NODES):
                part = "validation" if node == NODES - 1 else "train"
                file.write(f"n{node},c{y[node]},{part}," + ",".join(f"{v:.5g}" for v in x[node]) + "\n")
        with open(folder / "edges.csv", "w") as file:
            file.write("source,target\n" + "".join(f"n{a},n{b}\n" for a, b in pairs))
        (folder / "gcn.toml").write_text(
            f"""name = "gcn"
[data]
source = "nodes.csv"
target = "label"
graph = {{ id = "node", edges = "edges.csv" }}
split = {{ by = "column", column = "part" }}
[model]
layer = [
    {{ type = "graph_conv", units = {HIDDEN} }},
    {{ type = "activation", function = "relu" }},
    {{ type = "graph_conv", units = {CLASSES} }},
]
[train]
epochs = 400
learning_rate = 1e-2
loss = "cross_entropy"
"""
        )
        command = [args.gridlight, "train", folder / "gcn.toml", "--out", folder / "run", "--device", "cpu", "--json"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        end = json.loads(lines[-1])
        print(f"gridlight: {end['steps_per_second']:.1f} steps/s")
