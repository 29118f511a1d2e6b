#!/usr/bin/env python3
"""Makes what tests of imported models read: weights as `torch.save` writes them, two models as ONNX, and what PyTorch
computes with them.

    pip install torch onnx==1.21.0
    python tests/pytorch/imported.py
"""

import json
import pathlib

import torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent


def weights():
    torch.manual_seed(1)
    table = torch.randn(4, 6)
    state = {
        "0.weight": torch.randn(3, 4),
        "0.bias": torch.randn(3).double(),
        "half": torch.randn(5).half(),
        "brain": torch.randn(5).bfloat16(),
        "turned": table.t(),
        "part": table[1:3, ::2],
        "parameter": nn.Parameter(torch.randn(2)),
        "number": torch.tensor(1.5),
        "whole": torch.arange(4),
        "1.num_batches_tracked": torch.tensor(7),
    }
    torch.save(state, HERE / "imported.pt")
    torch.save({"epoch": 3, "state_dict": nn.Linear(2, 1).state_dict()}, HERE / "imported-nested.pt")
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("tracked")}
    return {name: {"shape": list(t.shape), "data": t.detach().float().reshape(-1).tolist()} for name, t in kept.items()}


class Sequence(nn.Module):
    """The last state of an LSTM, and a dense layer."""

    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


def trajectory(module, optimizer, x, y):
    """The losses of 50 steps on all rows, and the weights after them."""
    module.train()
    losses = []
    for _ in range(50):
        loss = ((module(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    state = {n: t.detach().reshape(-1).tolist() for n, t in module.state_dict().items() if "tracked" not in n}
    return {"losses": losses, "weights": state}


def main():
    found = {"weights": weights(), "models": {}}
    kinds = {
        "mlp": (lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)), (4,)),
        "cnn": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
                                      nn.Flatten(), nn.Linear(12, 1)), (1, 4, 4)),
        "lstm": (Sequence, (5, 3)),
    }
    for name, (make, shape) in kinds.items():
        torch.manual_seed(2)
        module = make()
        x, y = torch.randn(8, *shape), torch.randn(8, 1)
        # In training mode the exporter keeps the batch norm as it is.
        torch.onnx.export(module.eval(), (x[:1],), str(HERE / f"imported-{name}.onnx"), dynamo=False,
                          input_names=["x"], output_names=["y"], training=torch.onnx.TrainingMode.PRESERVE,
                          do_constant_folding=False)
        outputs = module(x).detach().reshape(-1).tolist()
        state = {n: t.clone() for n, t in module.state_dict().items()}
        runs = {}
        for rule in ("sgd", "adam"):
            module.load_state_dict(state)
            rate = 0.05 if rule == "sgd" else 0.01
            make_optimizer = torch.optim.SGD if rule == "sgd" else torch.optim.Adam
            runs[rule] = trajectory(module, make_optimizer(module.parameters(), rate), x, y)
        found["models"][name] = {"x": x.reshape(8, -1).tolist(), "y": y.reshape(-1).tolist(), "outputs": outputs, **runs}
    (HERE / "imported.json").write_text(json.dumps(found))


main()
