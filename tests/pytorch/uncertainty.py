"""Makes uncertainty.json: the temperature with the least cross-entropy by PyTorch's L-BFGS and by SciPy's bounded
search, and finite-sample quantiles and sets of classes by NumPy, for logits from the small integer generator of make.py.

usage: python3 tests/pytorch/uncertainty.py > tests/pytorch/uncertainty.json   (needs torch, scipy and numpy)
"""
import json
import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax


def numbers(count, seed):
    out, x = [], seed
    for _ in range(count):
        x = (1103515245 * x + 12345) % 2**31
        out.append(((x >> 16) % 128 - 64) / 64)
    return out


ROWS, CLASSES = 300, 5


def problem(outputs):
    logits = np.array(numbers(ROWS * outputs, 7 + outputs)).reshape(ROWS, outputs) * 4
    full = logits if outputs > 1 else np.concatenate([np.zeros_like(logits), logits], 1)
    noise = np.array(numbers(full.size, 21)).reshape(full.shape) * 6
    return logits, full, (full + noise).argmax(1)


def temperature(full, labels):
    z, y = torch.tensor(full, dtype=torch.float64), torch.tensor(labels)
    t = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([t], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-15,
                                  line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z / t, y)
        loss.backward()
        return loss

    optimizer.step(closure)
    loss = lambda t: -np.log(softmax(full / t, 1)[np.arange(len(labels)), labels]).mean()
    scipy = minimize_scalar(loss, bounds=(0.05, 50), method="bounded", options={"xatol": 1e-10}).x
    assert abs(scipy - t.item()) < 1e-5, (scipy, t.item())
    return t.item()


out = {}
for outputs in (1, CLASSES):
    logits, full, labels = problem(outputs)
    out[str(outputs)] = {"labels": labels.tolist(), "temperature": temperature(full, labels)}

# Split conformal sets of Sadinle et al. (LAC) without randomness, by NumPy.
logits, full, labels = problem(CLASSES)
p = softmax(full, 1)
scores = 1 - p[np.arange(ROWS), labels][:200]
level = math.ceil(201 * 0.9) / 200
threshold = np.quantile(scores, level, method="inverted_cdf")  # the 181st of 200
out["lac"] = {"threshold": threshold, "sizes": ((1 - p[200:]) <= threshold).sum(1).tolist()}
print(json.dumps(out))
