"""Makes recurrent.json in this folder with PyTorch: recurrent layers with the gradients of their input and parameters.

usage: python3 tests/pytorch/recurrent.py > tests/pytorch/recurrent.json   (needs torch)

All figures are in double precision of numbers that single precision holds exactly: parameters are multiples of 1/64,
inputs of 1/8. Inputs are `[B, T, F]`; the result is that of the last step of both directions, or of all steps.
"""
import json
import torch

torch.manual_seed(5)
GRADIENTS = 48  # elements of each gradient that are written: the first ones, and the sum of all


def grid(shape, scale, most):
    return torch.randint(-most, most + 1, shape).double() / scale


def text(x):
    return float(f"{x:.9g}")


def case(cell, steps, batch, inputs=3, hidden=5, layers=1, bidirectional=False, output="last"):
    kind = {"tanh": torch.nn.RNN, "relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    extra = {"nonlinearity": cell} if kind is torch.nn.RNN else {}
    net = kind(inputs, hidden, layers, batch_first=True, bidirectional=bidirectional, **extra).double()
    # Only as large as a layer's initial parameters are, or relu grows without bound.
    most = max(1, int(64 / hidden**0.5))
    for p in net.parameters():
        p.data = grid(p.shape, 64, most)
    x = grid((batch, steps, inputs), 8, 8).requires_grad_()
    all_, last = net(x)
    last = last[0] if cell == "lstm" else last
    y = all_ if output == "all" else torch.cat(list(last[-(2 if bidirectional else 1):]), 1)
    dy = grid(y.shape, 8, 8)
    y.backward(dy)
    numbers = lambda t: [text(v) for v in t.detach().flatten().tolist()]
    part = lambda t: {"first": numbers(t)[:GRADIENTS], "sum": text(float(t.sum())), "size": text(float(t.abs().sum()))}
    whole = lambda t, scale: [int(v * scale) for v in t.detach().flatten().tolist()]
    return {
        "cell": cell, "steps": steps, "batch": batch, "inputs": inputs, "hidden": hidden, "layers": layers,
        "bidirectional": bidirectional, "output": output, "x": whole(x, 8), "dy": whole(dy, 8),
        "parameters": {n: whole(p, 64) for n, p in net.named_parameters()},
        "y": part(y), "dx": part(x.grad), "gradients": {n: part(p.grad) for n, p in net.named_parameters()},
    }


cases = []
cases.append(case("tanh", 400, 1, inputs=1, hidden=65, bidirectional=True))  # longer than one kernel
for cell in ["tanh", "relu", "lstm", "gru"]:
    cases.append(case(cell, 1, 1))
    cases.append(case(cell, 2, 3, layers=2))
    cases.append(case(cell, 63, 3, inputs=2, output="all"))
    cases.append(case(cell, 257, 1, inputs=1, hidden=4, output="all"))
    cases.append(case(cell, 3, 65, inputs=2, layers=2, bidirectional=True))
    cases.append(case(cell, 4, 2, hidden=8, bidirectional=True, output="all"))
    cases.append(case(cell, 5, 3, inputs=4, hidden=17))
print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")
