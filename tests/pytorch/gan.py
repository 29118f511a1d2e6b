"""Makes gan.json in this folder with PyTorch: both losses of five adversarial pairs over 50 rounds.

usage: python3 tests/pytorch/gan.py > tests/pytorch/gan.json   (needs torch and numpy)

Tensors have the names of the program's; weights and rows are those of the integer generator of transformer.py, and
codes are those that the program draws: Threefry2x32-20, and quantiles of N(0, 1/2) that are multiples of 2^-20.
"""
import json
import math
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
ROWS, BATCH, LATENT, SEED = 48, 8, 4, 7
OF_CODES, OF_PLACES = 5, 7
MASK = 2**32 - 1


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


def threefry(key, counter):
    keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA]
    a, b = (counter[0] + keys[0]) & MASK, (counter[1] + keys[1]) & MASK
    for group in range(5):
        for turn in ([13, 15, 26, 6], [17, 29, 16, 24])[group % 2]:
            a = (a + b) & MASK
            b = ((b << turn | b >> (32 - turn)) & MASK) ^ a
        a = (a + keys[(group + 1) % 3]) & MASK
        b = (b + keys[(group + 2) % 3] + group + 1) & MASK
    return a, b


def words(stream, step, run, count):
    """Those of run number `run` of a round."""
    key = [SEED, (stream * 0x9E3779B1) & MASK]
    return [threefry(key, [step, e // 2])[e % 2] for e in range(run * count, (run + 1) * count)]


QUANTILES = torch.special.ndtri((torch.arange(4096) + 0.5) / 4096)
# Mid-points truncate the tails; the variance is 1/2 nonetheless.
QUANTILES = QUANTILES * (0.5 / QUANTILES.square().mean()).sqrt()
QUANTILES = (QUANTILES * 2**20).round() / 2**20


def codes(step, run):
    drawn = words(OF_CODES, step, run, BATCH * LATENT)
    normal = [QUANTILES[w & 4095] + QUANTILES[w >> 12 & 4095] for w in drawn]
    return torch.stack(normal).reshape(BATCH, LATENT)


def places(step, run):
    return torch.tensor([(w >> 8) / 2**24 for w in words(OF_PLACES, step, run, BATCH)])[:, None]


class Pair(nn.Module):
    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator, self.discriminator = nn.Sequential(*generator), nn.Sequential(*discriminator)
        for i, (name, p) in enumerate(sorted(self.named_parameters())):
            with torch.no_grad():
                p.copy_(tensor(p.shape, 100 + i, 0.3))


def leaky():
    return nn.LeakyReLU(0.2)


def original():
    generator = [nn.Linear(LATENT, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))]
    judge = [nn.Conv2d(1, 4, 4, 2, 1), leaky(), nn.Flatten(), nn.Linear(64, 1)]
    return Pair(generator, judge), "original", 1, [lambda p: torch.optim.Adam(p, 1e-3, (0.5, 0.999))] * 2


def least_squares():
    """Conditioned on the class, with a slower generator."""
    generator = [nn.Linear(LATENT + 3, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))]
    judge = [nn.Conv2d(1 + 3, 4, 4, 2, 1), leaky(), nn.Flatten(), nn.Linear(64, 1)]
    slow = lambda p: torch.optim.Adam(p, 1e-3, (0.5, 0.999))
    fast = lambda p: torch.optim.Adam(p, 4e-3, (0.9, 0.999))
    return Pair(generator, judge), "least_squares", 1, [slow, fast]


def wasserstein():
    generator = [nn.Linear(LATENT, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))]
    judge = [nn.Flatten(), nn.Linear(64, 16), leaky(), nn.Linear(16, 1)]
    return Pair(generator, judge), "wasserstein", 3, [lambda p: torch.optim.RMSprop(p, 1e-3)] * 2


def wasserstein_gp():
    generator = [
        nn.Linear(LATENT, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Unflatten(1, (2, 4, 4)),
        nn.ConvTranspose2d(2, 1, 4, 2, 1), nn.Sigmoid(),
    ]
    judge = [
        nn.Conv2d(1, 4, 4, 2, 1), leaky(), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 8), leaky(), nn.Linear(8, 1)
    ]
    return Pair(generator, judge), "wasserstein_gp", 2, [lambda p: torch.optim.Adam(p, 1e-3, (0.0, 0.9))] * 2


def spectral():
    """With spectral normalisation, whose vectors start even."""
    generator = [nn.Linear(LATENT, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))]
    normed = nn.utils.spectral_norm
    judge = [normed(nn.Conv2d(1, 4, 4, 2, 1)), leaky(), nn.Conv2d(4, 6, 3, 1, 1), leaky(), nn.Flatten(), nn.Linear(96, 1)]
    judge = [normed(layer) if i in (2, 5) else layer for i, layer in enumerate(judge)]
    pair = Pair(generator, judge)
    for name, vector in pair.named_buffers():
        vector.fill_(len(vector) ** -0.5)
    return pair, "original", 2, [lambda p: torch.optim.Adam(p, 1e-3, (0.5, 0.999))] * 2


def discriminators_loss(kind, real, drawn):
    if kind == "original":
        return F.softplus(-real).mean() + F.softplus(drawn).mean()
    if kind == "least_squares":
        return ((real - 1) ** 2).mean() / 2 + (drawn ** 2).mean() / 2
    return drawn.mean() - real.mean()


def generators_loss(kind, drawn):
    if kind == "original":
        return F.softplus(-drawn).mean()
    if kind == "least_squares":
        return ((drawn - 1) ** 2).mean() / 2
    return -drawn.mean()


def run(make):
    pair, kind, turns, [painter, judge] = make()
    painter, judge = painter(pair.generator.parameters()), judge(pair.discriminator.parameters())
    x = (tensor((ROWS, 1, 8, 8), 2) + 1) / 2
    labels = torch.tensor([v % 3 for v in integers(ROWS, 3)])
    classes = F.one_hot(labels, 3).to(x.dtype)
    conditional = kind == "least_squares"

    def draw(code, rows):
        return pair.generator(torch.cat([code, classes[rows]], 1) if conditional else code)

    def score(images, rows):
        if conditional:
            planes = classes[rows][:, :, None, None].expand(-1, -1, 8, 8)
            images = torch.cat([images, planes], 1)
        return pair.discriminator(images)

    losses = []
    for step in range(1, 51):
        of_judge = []
        for turn in range(turns):
            start = (step - 1) % (ROWS // (BATCH * turns)) * BATCH * turns + turn * BATCH
            rows = list(range(start, start + BATCH))
            drawn = draw(codes(step, turn), rows).detach()
            # Vectors of spectral normalisation are renewed once, with the real rows.
            pair.discriminator.train()
            real = score(x[rows], rows)
            if make is spectral:
                pair.discriminator.eval()
            loss = discriminators_loss(kind, real, score(drawn, rows))
            if kind == "wasserstein_gp":
                between = (drawn + places(step, turn)[:, :, None, None] * (x[rows] - drawn)).requires_grad_()
                slope, = torch.autograd.grad(score(between, rows).sum(), between, create_graph=True)
                length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
                loss = loss + 10 * ((length - 1) ** 2).mean()
            judge.zero_grad()
            loss.backward()
            judge.step()
            if kind == "wasserstein":
                for p in pair.discriminator.parameters():
                    p.data.clamp_(-0.05, 0.05)
            of_judge.append(loss.item())
        loss = generators_loss(kind, score(draw(codes(step, turns), rows), rows))
        painter.zero_grad()
        loss.backward()
        painter.step()
        losses.append([float(f"{v:.10g}") for v in [loss.item(), sum(of_judge) / turns]])
    return losses


pairs = [original, least_squares, wasserstein, wasserstein_gp, spectral]
print(json.dumps({make.__name__: run(make) for make in pairs}).replace("]], ", "]],\n").replace("], [", "],\n["))
