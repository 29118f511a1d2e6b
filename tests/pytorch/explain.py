"""Makes explain.json with PyTorch and Captum: saliency and Grad-CAM of a small CNN, integrated gradients of an LSTM.

usage: python3 tests/pytorch/explain.py > tests/pytorch/explain.json   (needs torch, numpy and captum)

Weights and inputs are multiples of 1/64 from the small integer generator of make.py, times a power of two, so that the
test makes the same ones without reading them. In double precision.
"""
import json

import torch
import torch.nn as nn
from captum.attr import IntegratedGradients, LayerGradCam


IMAGES, WINDOWS, STEPS, WIDTH = 4, 5, 6, 3


def numbers(count, seed):
    out, x = [], seed
    for _ in range(count):
        x = (1103515245 * x + 12345) % 2**31
        out.append(((x >> 16) % 128 - 64) / 64)
    return out


def power(fan):
    scale = 1.0
    while scale * scale * fan > 3.0:
        scale /= 2
    return scale


def fill(net):
    seed, fan = 100, 1
    for p in net.parameters():
        if p.dim() > 1:
            fan = p[0].numel()
        with torch.no_grad():
            p.copy_(torch.tensor(numbers(p.numel(), seed), dtype=p.dtype).reshape(p.shape) * power(fan))
        seed += 1
    return net


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.LSTM(WIDTH, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


def flat(x):
    return [float(f"{v:.10g}") for v in x.detach().reshape(-1).tolist()]


def main():
    torch.set_default_dtype(torch.float64)
    cnn = fill(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
                             nn.Flatten(), nn.Linear(24, 3)))
    x = torch.tensor(numbers(IMAGES * 64, 7)).reshape(IMAGES, 1, 8, 8).requires_grad_()
    logits = cnn(x)
    classes = logits.argmax(1)
    gradient, = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), x)
    maps = LayerGradCam(cnn, cnn[3]).attribute(x, classes, relu_attributions=True)
    lstm = fill(Forecaster())
    windows = torch.tensor(numbers(WINDOWS * STEPS * WIDTH, 8)).reshape(WINDOWS, STEPS, WIDTH)
    found = IntegratedGradients(lstm).attribute(windows, torch.zeros(1, STEPS, WIDTH), n_steps=200)
    print(json.dumps({"logits": flat(logits), "classes": classes.tolist(), "gradient": flat(gradient),
                      "grad_cam": flat(maps), "lstm_outputs": flat(lstm(windows)), "lstm_integrated": flat(found)}))


main()
