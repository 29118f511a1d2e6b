"""Makes the figures in this folder with PyTorch: losses of a fixed MLP over 200 steps, for each optimizer.

usage: python3 tests/pytorch/make.py > tests/pytorch/trajectories.json   (needs torch and numpy)

The network is 8-16-8-1 with relu, MSE and batches of 16 rows of a fixed table of 64, in order. Weights and data
are multiples of 1/64 from a small integer generator, so that the test makes the same ones without reading them.
"""
import json
import torch


def numbers(count, seed):
    """The generator of the test: x = (a x + c) mod 2^31, mapped to multiples of 1/64 in [-1, 1)."""
    out, x = [], seed
    for _ in range(count):
        x = (1103515245 * x + 12345) % 2**31
        out.append(((x >> 16) % 128 - 64) / 64)
    return out


def tensor(shape, seed, scale=1.0):
    count = 1
    for s in shape:
        count *= s
    return torch.tensor(numbers(count, seed), dtype=torch.float64).reshape(shape) * scale


def network():
    sizes = [8, 16, 8, 1]
    layers = []
    for i in range(3):
        linear = torch.nn.Linear(sizes[i], sizes[i + 1]).double()
        with torch.no_grad():
            linear.weight.copy_(tensor((sizes[i + 1], sizes[i]), 10 + i, 0.5))
            linear.bias.copy_(tensor((sizes[i + 1],), 20 + i, 0.5))
        layers += [linear] + ([torch.nn.ReLU()] if i < 2 else [])
    return torch.nn.Sequential(*layers)


def run(name, make, clip=None):
    torch.manual_seed(0)
    net = network()
    x, y = tensor((64, 8), 1), tensor((64, 1), 2)
    optimizer = make(net)
    losses = []
    for step in range(200):
        rows = slice(16 * (step % 4), 16 * (step % 4) + 16)
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(x[rows]), y[rows])
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


def groups(net, decay):
    weights = [p for p in net.parameters() if p.dim() > 1]
    biases = [p for p in net.parameters() if p.dim() <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}]


o = torch.optim
cases = {
    "adam": (lambda n: o.Adam(n.parameters(), lr=1e-3), None),
    "adam_decay": (lambda n: o.Adam(groups(n, 0.1), lr=1e-2, betas=(0.8, 0.99)), None),
    "adamw": (lambda n: o.AdamW(groups(n, 0.1), lr=1e-2), None),
    "sgd": (lambda n: o.SGD(n.parameters(), lr=1e-2), None),
    "sgd_momentum": (lambda n: o.SGD(groups(n, 0.01), lr=1e-2, momentum=0.9, dampening=0.5), None),
    "sgd_nesterov": (lambda n: o.SGD(n.parameters(), lr=1e-2, momentum=0.9, nesterov=True), None),
    "rmsprop": (lambda n: o.RMSprop(n.parameters(), lr=1e-3), None),
    "rmsprop_centered": (lambda n: o.RMSprop(n.parameters(), lr=1e-3, momentum=0.5, centered=True), None),
    "sgd_clipped": (lambda n: o.SGD(n.parameters(), lr=1e-1), 0.5),
}
print(json.dumps({name: run(name, make, clip) for name, (make, clip) in cases.items()}, indent=0))
