"""Makes recurrent_grid.json in this folder with PyTorch: each cell at lengths 1, 2, 63, 257 and batches 1, 3, 65, with one
or two layers, one direction or both.

usage: python3 tests/pytorch/recurrent_grid.py > tests/pytorch/recurrent_grid.json   (needs torch)

As recurrent.py, but inputs and parameters follow from their position (`wave`), and are not written.
"""
import json
import torch

GRADIENTS = 4  # elements of each gradient that are written
HIDDEN, INPUTS = 5, 2


def wave(shape, salt, most, scale):
    """Whole numbers from -most to most that look random, over scale."""
    count = int(torch.tensor(shape).prod())
    return torch.tensor([((i * 7919 + salt * 104729 + i * i % 31) % (2 * most + 1) - most) / scale for i in range(count)],
                        dtype=torch.float64).reshape(shape)


def text(x):
    return float(f"{x:.9g}")


def case(cell, steps, batch, layers, bidirectional, output):
    kind = {"tanh": torch.nn.RNN, "relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    extra = {"nonlinearity": cell} if kind is torch.nn.RNN else {}
    net = kind(INPUTS, HIDDEN, layers, batch_first=True, bidirectional=bidirectional, **extra).double()
    for salt, (_, p) in enumerate(net.named_parameters()):
        p.data = wave(p.shape, salt + 2, 14, 64)
    x = wave((batch, steps, INPUTS), 0, 8, 8).requires_grad_()
    all_, last = net(x)
    last = last[0] if cell == "lstm" else last
    y = all_ if output == "all" else torch.cat(list(last[-(2 if bidirectional else 1):]), 1)
    y.backward(wave(y.shape, 1, 8, 8))
    numbers = lambda t: [text(v) for v in t.detach().flatten().tolist()]
    part = lambda t: {"first": numbers(t)[:GRADIENTS], "sum": text(t.detach().sum().item()), "size": text(t.detach().abs().sum().item())}
    return {
        "cell": cell, "steps": steps, "batch": batch, "inputs": INPUTS, "hidden": HIDDEN, "layers": layers,
        "bidirectional": bidirectional, "output": output, "order": [n for n, _ in net.named_parameters()],
        "y": part(y), "dx": part(x.grad), "gradients": {n: part(p.grad) for n, p in net.named_parameters()},
    }


cases = []
for cell in ["tanh", "relu", "lstm", "gru"]:
    for t, steps in enumerate([1, 2, 63, 257]):
        for b, batch in enumerate([1, 3, 65]):
            variant = (t + b) % 4
            # Over many steps the gradient of the last one vanishes.
            output = "last" if b == 1 and steps < 10 else "all"
            cases.append(case(cell, steps, batch, 1 + variant % 2, variant >= 2, output))
print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")
