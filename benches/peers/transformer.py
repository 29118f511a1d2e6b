"""Steps per second of PyTorch on the CPU for the transformers that `gridlight bench` times: the same networks, batches and
optimizer, with scaled_dot_product_attention.

usage: python3 benches/peers/transformer.py [gpt|vit] [--compile] [--seconds S]   (needs torch)
"""
import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

p = argparse.ArgumentParser()
p.add_argument("workload", choices=["gpt", "vit"])
p.add_argument("--compile", action="store_true")
p.add_argument("--seconds", type=float, default=8)
args = p.parse_args()
torch.set_num_threads(2)
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, w))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.position = nn.Embedding(77, 128), nn.Parameter(torch.randn(64, 128) * 0.02)
        self.blocks = nn.Sequential(*[Block(128, 4, True) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 77)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.embedding(x) + self.position))).flatten(0, 1)


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.position = nn.Conv2d(1, 64, 2, 2), nn.Parameter(torch.randn(16, 64) * 0.02)
        self.blocks = nn.Sequential(*[Block(64, 4, False) for _ in range(3)])
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x):
        h = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(h)).mean(1))


if args.workload == "gpt":
    model, x, y = Gpt(), torch.randint(77, (64, 64)), torch.randint(77, (64 * 64,))
else:
    model, x, y = Vit(), torch.randn(32, 1, 8, 8), torch.randint(10, (32,))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
forward = lambda: F.cross_entropy(model(x), y)
if args.compile:
    forward = torch.compile(forward)


def step():
    optimizer.zero_grad(set_to_none=True)
    loss = forward()
    loss.backward()
    optimizer.step()
    return loss


for _ in range(5):
    step()
best, total, start = 0.0, 0, time.perf_counter()
while time.perf_counter() - start < args.seconds:
    count, begin = 5, time.perf_counter()
    for _ in range(count):
        loss = step()
    loss.item()
    best, total = max(best, count / (time.perf_counter() - begin)), total + count
mean = total / (time.perf_counter() - start)
print(f"{args.workload} {'compiled' if args.compile else 'eager'}: {mean:.2f} steps/s, best {best:.2f}")
