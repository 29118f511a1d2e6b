"""Makes extremes.jsonl in this folder with PyTorch: the formulas of a variational autoencoder where single precision could
overflow or lose its digits, with their gradients.

usage: python3 tests/pytorch/extremes.py > tests/pytorch/extremes.jsonl   (needs torch)

Operator cases (`gridlight verify --cases`), one for each magnitude, so that none hides behind a larger one. In double
precision.
"""
import json
import math
import torch


def plain(tensor):
    return {"shape": list(tensor.shape), "dtype": "f32", "data": tensor.detach().flatten().tolist()}


def case(name, op, formula, **inputs):
    inputs = {k: torch.tensor([v], dtype=torch.float64, requires_grad=k not in ("target", "eps")) for k, v in inputs.items()}
    y = formula(**inputs)
    dy = torch.ones_like(y)
    y.backward(dy)
    print(json.dumps({
        "name": name, "op": op, "params": {}, "inputs": {k: plain(t) for k, t in inputs.items()},
        "y": [plain(y)], "dy": [plain(dy)],
        "grads": {k: plain(t.grad) for k, t in inputs.items() if t.grad is not None},
    }, separators=(",", ":")))


kl = lambda mu, logvar: -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())
draw = lambda mu, logvar, eps: mu + eps * torch.exp(0.5 * logvar)
nll = lambda mu, logvar, x: 0.5 * torch.sum(logvar + (x - mu) ** 2 / logvar.exp() + math.log(2 * math.pi))
bce = lambda x, target: torch.nn.functional.binary_cross_entropy_with_logits(x, target)

for l in (-40.0, -20.0, 20.0, 40.0):
    case(f"kl_gauss_{l:.0f}", "kl_gauss", kl, mu=[3.0], logvar=[l])
    case(f"reparam_{l:.0f}", "reparam", draw, mu=[0.0], logvar=[l], eps=[-1.5])
    case(f"gauss_nll_{l:.0f}", "gauss_nll", nll, mu=[1.0], logvar=[l], x=[1.5])
case("kl_gauss_of_the_prior", "kl_gauss", kl, mu=[0.0] * 5, logvar=[0.0] * 5)
for l in (1e-3, -1e-3, 1e-5, -1e-5):
    case(f"kl_gauss_{l:g}", "kl_gauss", kl, mu=[0.0], logvar=[l])
for l in (-80.0, -40.0, 40.0, 80.0):
    for target in (0.0, 0.25, 1.0):
        case(f"bce_with_logits_{l:.0f}_{target:g}", "bce_with_logits", bce, x=[l], target=[target])
