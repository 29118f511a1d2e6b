"""Makes vae.json with PyTorch: the variational autoencoder of its examples (784-400-20-400-784, Kingma and Welling
2014, appendix B) over 100 steps with the noise this project draws.

usage: python3 tests/pytorch/vae.py > tests/pytorch/vae.json   (needs torch and numpy)

Batches of 32 of 128 fixed images, in order; Adam at 1e-3; the loss is the mean over the batch. Weights are multiples of
1/64 from the small integer generator of make.py, times a power of two, so that the test makes the same ones without
reading them. In double precision, the truth for both backends. The file holds the losses, the parts of the
loss of all images before and after, and of each gradient of the first step its length and its product with numbers of the
generator.
"""
import json
from statistics import NormalDist

import numpy as np
import torch
import torch.nn.functional as F

LATENT_STREAM = 5


def numbers(count, seed):
    out, x = [], seed
    for _ in range(count):
        x = (1103515245 * x + 12345) % 2**31
        out.append(((x >> 16) % 128 - 64) / 64)
    return torch.tensor(out, dtype=torch.float64)


def power(fan):
    """The power of two at or below sqrt(3 / fan)."""
    scale = 1.0
    while scale * scale * fan > 3:
        scale /= 2
    return scale


def threefry(key, counter):
    """The output words of Threefry2x32-20 (Salmon et al. 2011) for arrays of second counter words."""
    k = [np.uint32(key[0]), np.uint32(key[1]), np.uint32(key[0] ^ key[1] ^ 0x1BD11BDA)]
    a, b = np.full_like(counter[1], counter[0]) + k[0], counter[1] + k[1]
    rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]
    for group in range(5):
        for r in rotations[group % 2]:
            a = a + b
            b = ((b << np.uint32(r)) | (b >> np.uint32(32 - r))) ^ a
        a = a + k[(group + 1) % 3]
        b = b + k[(group + 2) % 3] + np.uint32(group + 1)
    return a, b


def normal_table():
    z = np.array([NormalDist().inv_cdf((i + 0.5) / 4096) for i in range(4096)])
    return np.round(z * np.sqrt(0.5 / np.mean(z * z)) * 2**20) / 2**20


TABLE = normal_table()


def noise(step, rows, latent):
    """The standard normal numbers of a step with seed 0: each the sum of two quantiles of N(0, 1/2)."""
    key = (0, (LATENT_STREAM * 0x9E3779B1) % 2**32)
    pairs = np.arange((rows * latent + 1) // 2, dtype=np.uint32)
    words = np.stack(threefry(key, (np.uint32(step), pairs)), 1).reshape(-1)[: rows * latent]
    z = TABLE[words & 4095] + TABLE[(words >> 12) & 4095]
    return torch.tensor(z).reshape(rows, latent)


def parameters():
    shapes = [(400, 784), (40, 400), (400, 20), (784, 400)]
    out = []
    for at, (units, inputs) in enumerate(shapes):
        scale = power(inputs)
        out.append((numbers(units * inputs, 100 + 2 * at).reshape(units, inputs) * scale).requires_grad_())
        out.append((numbers(units, 101 + 2 * at) * scale).requires_grad_())
    return out


def terms(p, x, epsilon):
    """-ln p(x|z) and KL(q(z|x) || p(z)) of each row."""
    mean, log_variance = F.linear(F.relu(F.linear(x, p[0], p[1])), p[2], p[3]).chunk(2, 1)
    z = mean + epsilon * torch.exp(0.5 * log_variance)
    logits = F.linear(F.relu(F.linear(z, p[4], p[5])), p[6], p[7])
    nll = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    return nll, -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)


def image(number):
    """Slanted bars of white on grey."""
    return [1.0 if (row + 2 * column + 3 * number) // 6 % (3 + number % 3) == 0 else 0.125
            for row in range(28) for column in range(28)]


x = torch.tensor([image(number) for number in range(128)], dtype=torch.float64)
p = parameters()
optimizer = torch.optim.Adam(p, lr=1e-3)
losses, gradients = [], []
parts = lambda: [t.mean().item() for t in terms(p, x, noise(0, 128, 20))]
before = parts()
for step in range(100):
    rows = slice(32 * (step % 4), 32 * (step % 4) + 32)
    optimizer.zero_grad()
    nll, kl = terms(p, x[rows], noise(step + 1, 32, 20))
    loss = (nll + kl).mean()
    loss.backward()
    if step == 0:
        for at, t in enumerate(p):
            g = t.grad.flatten()
            gradients.append([g.norm().item(), (g @ numbers(len(g), 200 + at)).item()])
    optimizer.step()
    losses.append(loss.item())
print(json.dumps({"losses": losses, "before": before, "after": parts(), "gradients": gradients}, indent=0))
