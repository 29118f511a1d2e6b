"""Makes transformer.json in this folder with PyTorch: losses of four small networks over 50 steps of Adam.

usage: python3 tests/pytorch/transformer.py > tests/pytorch/transformer.json   (needs torch and numpy)

A decoder of text (blocks that normalise first, causal), a vision transformer, and an encoder of windows (blocks that
normalise last, sinusoidal positions, one attention layer), and a decoder whose dense layers are gated (SwiGLU) and whose
embedding is its output layer. Tensors have the names of the program's; the tensor at
place i of the sorted names holds multiples of 1/64 from a small integer generator with seed 100 + i, so that the test
makes the same ones without reading them; weights of one axis are those of norms, and 1 is added to them.
"""
import json
import math
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)


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


def set_weights(net):
    for i, (name, p) in enumerate(sorted(net.named_parameters())):
        with torch.no_grad():
            p.copy_(tensor(p.shape, 100 + i, 0.3))
            if p.dim() == 1 and name.endswith(".weight"):
                p.add_(1.0)


class Positions(nn.Module):
    def __init__(self, steps, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(steps, width))

    def forward(self, x):
        return x + self.weight


class Waves(nn.Module):
    def forward(self, x):
        steps, width = x.shape[1:]
        t = torch.arange(steps)[:, None]
        angle = t / 10000 ** (torch.arange(0, width, 2) / width)
        waves = torch.stack([angle.sin(), angle.cos()], -1).reshape(steps, width)
        return x + waves


class Block(nn.TransformerEncoderLayer):
    """Causal if asked for."""

    def __init__(self, width, heads, hidden, causal, **keys):
        super().__init__(width, heads, hidden, dropout=0.0, batch_first=True, **keys)
        self.causal = causal

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return super().forward(x, src_mask=mask, is_causal=self.causal)


class Attend(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class Patches(nn.Conv2d):
    def forward(self, x):
        return super().forward(x).flatten(2).transpose(1, 2)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


def blocks(count, width, heads, causal):
    return [Block(width, heads, 4 * width, causal, activation=F.gelu, norm_first=True) for _ in range(count)]


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(13, 16)
        layers = [Positions(12, 16), *blocks(2, 16, 4, True), nn.LayerNorm(16), nn.Linear(16, 13)]
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)
        self.count = len(layers)

    def forward(self, x):
        h = self.embedding(x)
        for number in range(self.count):
            h = getattr(self, str(number))(h)
        return h


def text():
    symbols = torch.tensor([x % 13 for x in integers(24 * 12 + 1, 1)])
    def loss(net, rows):
        x = torch.stack([symbols[12 * r:12 * r + 12] for r in rows])
        y = torch.stack([symbols[12 * r + 1:12 * r + 13] for r in rows])
        return F.cross_entropy(net(x).reshape(-1, 13), y.reshape(-1))
    return Text(), loss


class Gated(Block):
    """The dense layers of LLaMA: w2(silu(w1 x) * w3 x)."""

    def __init__(self, width, heads, hidden, causal):
        super().__init__(width, heads, hidden, causal, norm_first=True)
        self.linear1 = nn.Linear(width, hidden, bias=False)
        self.linear2 = nn.Linear(hidden, width, bias=False)
        self.linear3 = nn.Linear(width, hidden, bias=False)

    def _ff_block(self, x):
        return self.linear2(F.silu(self.linear1(x)) * self.linear3(x))


class Tied(Text):
    def __init__(self):
        nn.Module.__init__(self)
        self.embedding = nn.Embedding(13, 16)
        layers = [Positions(12, 16), *[Gated(16, 4, 48, True) for _ in range(2)], nn.LayerNorm(16)]
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)
        self.count = len(layers)

    def forward(self, x):
        return super().forward(x) @ self.embedding.weight.T


def gated():
    return Tied(), text()[1]


def images():
    x = tensor((24, 1, 8, 8), 2)
    y = torch.tensor([v % 5 for v in integers(24, 3)])
    layers = [Patches(1, 12, 4, 4), Positions(4, 12), *blocks(2, 12, 3, False), nn.LayerNorm(12), Mean()]
    net = nn.Sequential(*layers, nn.Linear(12, 5))
    return net, lambda net, rows: F.cross_entropy(net(x[rows]), y[rows])


def windows():
    x, y = tensor((24, 9, 3), 4), tensor((24, 1), 5)
    layers = [nn.Linear(3, 16), Waves(), Block(16, 2, 24, False), Attend(16, 4, batch_first=True), Mean()]
    net = nn.Sequential(*layers, nn.Linear(16, 1))
    return net, lambda net, rows: F.mse_loss(net(x[rows]), y[rows])


def run(make):
    net, loss_of = make()
    set_weights(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for step in range(50):
        start = 8 * (step % 3)
        optimizer.zero_grad()
        loss = loss_of(net, list(range(start, start + 8)))
        loss.backward()
        optimizer.step()
        losses.append(float(f"{loss.item():.10g}"))
    return losses


print(json.dumps({make.__name__: run(make) for make in [text, gated, images, windows]}, indent=0))
