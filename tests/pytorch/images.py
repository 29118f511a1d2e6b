"""Makes image_trajectories.json with PyTorch: losses of a small CNN and of a residual network over 50 steps.

usage: python3 tests/pytorch/images.py > tests/pytorch/image_trajectories.json   (needs torch and numpy)

Batches of 8 of 32 fixed images with labels, in order; cross-entropy, Adam at 1e-3. Weights and images are multiples of
1/64 from the small integer generator of make.py, times a power of two, so that the test makes the same ones without
reading them; normalisation layers start as PyTorch starts them. In double precision, the truth for both backends.
"""
import json

import torch
import torch.nn as nn
import torch.nn.functional as F


def numbers(count, seed):
    out, x = [], seed
    for _ in range(count):
        x = (1103515245 * x + 12345) % 2**31
        out.append(((x >> 16) % 128 - 64) / 64)
    return out


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.down = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x):
        shortcut = self.down(x) if self.down is not None else x
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


def cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(64 * 16, 128), nn.ReLU(), nn.Linear(128, 10))


def resnet():
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Block(16, 16, 1),
                         Block(16, 32, 2), Block(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(64, 10))


def fill(net):
    """Every weight of more than one axis, and biases of layers that have such, in the order of parameters()."""
    seed = 100
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            for p in module.parameters(recurse=False):
                fan = module.weight[0].numel()
                scale = power(fan)
                with torch.no_grad():
                    p.copy_(torch.tensor(numbers(p.numel(), seed), dtype=p.dtype).reshape(p.shape) * scale)
                seed += 1


def power(fan):
    """The power of two at or below sqrt(3 / fan)."""
    scale = 1.0
    while scale * scale * fan > 3:
        scale /= 2
    return scale


def run(make, shape):
    net = make().double()
    fill(net)
    x = torch.tensor(numbers(32 * shape[0] * shape[1] * shape[2], 1), dtype=torch.float64).reshape(32, *shape)
    y = torch.tensor([(7 * i + i // 10) % 10 for i in range(32)])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for step in range(50):
        rows = slice(8 * (step % 4), 8 * (step % 4) + 8)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


print(json.dumps({"cnn": run(cnn, (1, 12, 12)), "resnet": run(resnet, (3, 16, 16))}, indent=0))
