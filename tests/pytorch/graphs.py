"""Makes graphs.json in this folder with PyTorch: losses of small networks on graphs over 50 steps.

usage: python3 tests/pytorch/graphs.py > tests/pytorch/graphs.json   (needs torch)

The layers are written from the formulas of Kipf and Welling (2017), Hamilton et al. (2017) and Velickovic et al. (2018),
as torch_geometric has them, with dense matrices of the edges; those of batches of graphs have a block for each. Graph: 12 nodes, directed edges from a small integer
generator with weights, a loop at node 3, and node 11 alone. Weights of the networks are multiples of 1/64 from the same
generator, the tensor at place i of the sorted names with seed 100 + i.
"""
import json
import math
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
NODES = 12


def integers(count, seed):
    """x = (a x + c) mod 2^31; the high bits."""
    out, x = [], seed
    for _ in range(count):
        x = (1103515245 * x + 12345) % 2**31
        out.append(x >> 16)
    return out


def tensor(shape, seed, scale=1.0):
    values = [(x % 128 - 64) / 64 for x in integers(math.prod(shape), seed)]
    return torch.tensor(values).reshape(shape) * scale


def edges(nodes, seed):
    """Weights [target, source], 0 where there is no edge."""
    found = torch.zeros(nodes, nodes)
    draws = integers(4 * nodes, seed)
    for at, draw in enumerate(draws):
        source, target = at % (nodes - 1), draw % (nodes - 1)
        if source != target:
            found[target, source] = (1 + draw // 16 % 4) / 4
    found[3, 3] = 0.5
    return found


class GraphConv(nn.Module):
    def __init__(self, inputs, units, edges):
        super().__init__()
        self.lin = nn.Linear(inputs, units, bias=False)
        self.bias = nn.Parameter(torch.zeros(units))
        self.on(edges)

    def on(self, edges):
        loops = torch.where(edges.diagonal() > 0, torch.zeros(len(edges)), torch.ones(len(edges)))
        edges = edges + torch.diag(loops)
        root = edges.sum(1) ** -0.5
        self.edges = root[:, None] * edges * root[None, :]

    def forward(self, x):
        return self.edges @ self.lin(x) + self.bias


class Sage(nn.Module):
    def __init__(self, inputs, units, edges):
        super().__init__()
        self.lin_l = nn.Linear(inputs, units)
        self.lin_r = nn.Linear(inputs, units, bias=False)
        self.on(edges)

    def on(self, edges):
        self.edges = edges / edges.sum(1, keepdim=True).clamp(min=1e-30)

    def forward(self, x):
        return self.lin_l(self.edges @ x) + self.lin_r(x)


class Attention(nn.Module):
    def __init__(self, inputs, units, heads, concat, edges):
        super().__init__()
        self.lin = nn.Linear(inputs, heads * units, bias=False)
        self.att_src = nn.Parameter(torch.zeros(1, heads, units))
        self.att_dst = nn.Parameter(torch.zeros(1, heads, units))
        self.bias = nn.Parameter(torch.zeros(heads * units if concat else units))
        self.heads, self.units, self.concat = heads, units, concat
        self.on(edges)

    def on(self, edges):
        self.there = (edges > 0) | torch.eye(len(edges), dtype=torch.bool)

    def forward(self, x):
        h = self.lin(x).reshape(-1, self.heads, self.units)
        source, target = (h * self.att_src).sum(-1), (h * self.att_dst).sum(-1)
        scores = F.leaky_relu(source[None, :, :] + target[:, None, :], 0.2)
        scores = scores.masked_fill(~self.there[:, :, None], -math.inf)
        y = torch.einsum("ijh,jhc->ihc", scores.softmax(1), h)
        return (y.reshape(len(x), -1) if self.concat else y.mean(1)) + self.bias


class Stations(nn.Module):
    """Windows [B, 5, 4 stations and a column of all]: two steps of each station, from its past, the column and which
    station it is."""

    def __init__(self):
        super().__init__()
        self.add_module("0", GraphConv(5 + 5 + 4, 6, edges(4, 8)))
        self.add_module("2", nn.Linear(6, 2))

    def forward(self, x):
        own = x[:, :, :4].transpose(1, 2)
        rest = x[:, :, 4][:, None, :].expand(-1, 4, -1)
        which = torch.eye(4).expand(len(x), -1, -1)
        h = torch.cat([own, rest, which], 2)
        h = getattr(self, "2")(torch.tanh(getattr(self, "0")(h)))
        return h.transpose(1, 2).reshape(len(x), 8)


class Many(nn.Module):
    """Batches of graphs of 4 to 10 nodes, of which each gets two numbers."""

    def __init__(self, pool, normal):
        super().__init__()
        self.pool, few = pool, edges(4, 8)
        self.add_module("0", GraphConv(5, 6, few))
        self.add_module("1", nn.BatchNorm1d(6))
        self.add_module("3", Attention(6, 4, 2, True, few))
        self.add_module("5", Sage(8, 6, few))
        self.last = ["8", "9"] if normal else ["8"]
        if normal:
            self.add_module("8", nn.LayerNorm(6))
        self.add_module(self.last[-1], nn.Linear(6, 2))

    def forward(self, graphs):
        sizes = [4 + 5 * g % 7 for g in graphs]
        block = torch.block_diag(*[edges(n, 20 + g) for n, g in zip(sizes, graphs)])
        h = torch.cat([tensor((n, 5), 40 + g) for n, g in zip(sizes, graphs)])
        for name in ["0", "1", "3", "5"]:
            layer = getattr(self, name)
            if name != "1":
                layer.on(block)
            h = layer(h)
            if name != "0":
                h = torch.tanh(h)
        h = torch.stack([self.pool(part) for part in h.split(sizes)])
        for name in self.last:
            h = getattr(self, name)(h)
        return h


def classes(net):
    x = tensor((NODES, 5), 2)
    y = torch.tensor([v % 3 for v in integers(NODES, 3)])
    return net, lambda net, rows: F.cross_entropy(net(x)[rows], y[rows])


def graph_conv():
    a = edges(NODES, 7)
    return classes(nn.Sequential(GraphConv(5, 8, a), nn.ReLU(), GraphConv(8, 3, a)))


def graph_sage():
    a = edges(NODES, 7)
    return classes(nn.Sequential(Sage(5, 8, a), nn.Tanh(), Sage(8, 4, a), nn.Tanh(), nn.Linear(4, 3)))


def graph_attention():
    a = edges(NODES, 7)
    return classes(nn.Sequential(Attention(5, 4, 2, True, a), nn.Tanh(), Attention(8, 3, 2, False, a)))


def stations():
    x, y = tensor((NODES, 5, 5), 4), tensor((NODES, 8), 5)
    return Stations(), lambda net, rows: F.mse_loss(net(x[rows]), y[rows])


def many(pool, normal=False):
    y = tensor((12, 2), 6)
    return Many(pool, normal), lambda net, rows: F.mse_loss(net(rows), y[rows])


def many_averaged():
    return many(lambda h: h.mean(0))


def many_largest():
    return many(lambda h: h.amax(0))


def many_summed():
    return many(lambda h: h.sum(0), True)


def run(make):
    net, loss_of = make()
    for i, (name, p) in enumerate(sorted(net.named_parameters())):
        with torch.no_grad():
            p.copy_(tensor(p.shape, 100 + i, 0.5))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for step in range(50):
        start = 6 * (step % 2)
        optimizer.zero_grad()
        loss = loss_of(net, list(range(start, start + 6)))
        loss.backward()
        optimizer.step()
        losses.append(float(f"{loss.item():.10g}"))
    return losses


cases = [graph_conv, graph_sage, graph_attention, stations, many_averaged, many_largest, many_summed]
print(json.dumps({make.__name__: run(make) for make in cases}, indent=0))
