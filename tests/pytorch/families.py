"""Makes families.json in this folder with PyTorch: losses and gradients of networks with a name.

usage: python3 tests/pytorch/families.py > tests/pytorch/families.json   (needs torch and numpy)

ResNet and AlexNet have torchvision's modules and names, the temporal convolutional network those of its authors, the
U-shaped one those of Pytorch-UNet. Weights
and inputs are multiples of 1/64 from the small integer generator of make.py, 4099 of them repeated, times a power of two,
so that the test makes the same ones without reading them; the last normalisation of a bottleneck is small, or 50 layers
would amplify rounding (PyTorch in single precision would be off by 3e-2). In double precision. Of each gradient there are the norm and
the elements at eight places.
"""
import json
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import weight_norm

warnings.filterwarnings("ignore", category=FutureWarning)
CYCLE = 4099


def numbers(count, seed):
    out, x = [], seed
    for _ in range(min(count, CYCLE)):
        x = (1103515245 * x + 12345) % 2**31
        out.append(((x >> 16) % 128 - 64) / 64)
    cycle = torch.tensor(out, dtype=torch.float64)
    return cycle.repeat(-(-count // len(out)))[:count]


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False), nn.BatchNorm2d(planes)
        self.downsample = shortcut(inputs, planes, stride)

    def forward(self, x):
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(h + (self.downsample(x) if self.downsample else x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.relu = nn.ReLU()
        self.downsample = shortcut(inputs, 4 * planes, stride)

    def forward(self, x):
        h = self.relu(self.bn1(self.conv1(x)))
        h = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(h)))))
        return self.relu(h + (self.downsample(x) if self.downsample else x))


def shortcut(inputs, outputs, stride):
    if inputs == outputs and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    def __init__(self, block, counts, first, classes, large):
        super().__init__()
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv1 = nn.Conv2d(3, first, kernel, stride, kernel // 2, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(first), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        inputs, self.stages = first, len(counts)
        for stage, count in enumerate(counts):
            blocks = []
            for at in range(count):
                blocks.append(block(inputs, first * 2**stage, 2 if stage and not at else 1))
                inputs = first * 2**stage * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(inputs, classes)

    def forward(self, x):
        h = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            h = getattr(self, f"layer{stage + 1}")(h)
        return self.fc(self.avgpool(h).flatten(1))


class AlexNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(),
            nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(0.0), nn.Linear(256 * 36, 4096), nn.ReLU(), nn.Dropout(0.0), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, classes))

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class TemporalBlock(nn.Module):
    def __init__(self, inputs, outputs, kernel, dilation):
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.conv1 = weight_norm(nn.Conv1d(inputs, outputs, kernel, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(outputs, outputs, kernel, dilation=dilation))
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x):
        h = F.relu(self.conv1(F.pad(x, (self.before, 0))))
        h = F.relu(self.conv2(F.pad(h, (self.before, 0))))
        return F.relu(h + (self.downsample(x) if self.downsample else x))


class Tcn(nn.Module):
    def __init__(self, inputs, channels, kernel, outputs):
        super().__init__()
        widths = [inputs, *channels]
        blocks = [TemporalBlock(widths[at], widths[at + 1], kernel, 2**at) for at in range(len(channels))]
        self.tcn = nn.Module()
        self.tcn.network = nn.Sequential(*blocks)
        self.linear = nn.Linear(channels[-1], outputs)

    def forward(self, x):
        return self.linear(self.tcn.network(x.transpose(1, 2))[:, :, -1])


class Normed(nn.Module):
    """A convolution in groups and local response normalisation, as in the AlexNet of 2012."""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(4, 12, 3, padding=1), nn.ReLU(), nn.LocalResponseNorm(5, alpha=0.5, beta=0.75, k=2.0),
                  nn.MaxPool2d(3, 2), nn.Conv2d(12, 16, 3, padding=1, groups=2), nn.ReLU(),
                  nn.LocalResponseNorm(4, alpha=0.3), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(96, 5)]
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)
        self.count = len(layers)

    def forward(self, x):
        for number in range(self.count):
            x = getattr(self, str(number))(x)
        return x


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(inputs, outputs, 2, 2), DoubleConv(2 * outputs, outputs)

    def forward(self, x, before):
        x = self.up(x)
        high, wide = (before.shape[axis] - x.shape[axis] for axis in (2, 3))
        return self.conv(torch.cat([before, F.pad(x, [0, wide, 0, high])], 1))


class Unet(nn.Module):
    """With the names of Pytorch-UNet."""

    def __init__(self, inputs, channels, classes):
        super().__init__()
        self.inc, self.sizes = DoubleConv(inputs, channels[0]), len(channels)
        for at in range(1, len(channels)):
            self.add_module(f"down{at}", Down(channels[at - 1], channels[at]))
            self.add_module(f"up{at}", Up(channels[-at], channels[-at - 1]))
        self.outc = nn.Module()
        self.outc.conv = nn.Conv2d(channels[0], classes, 1)

    def forward(self, x):
        seen = [self.inc(x)]
        for at in range(1, self.sizes):
            seen.append(getattr(self, f"down{at}")(seen[-1]))
        h = seen.pop()
        for at in range(1, self.sizes):
            h = getattr(self, f"up{at}")(h, seen.pop())
        return self.outc.conv(h)


def power(fan):
    """The power of two at or below sqrt(3 / fan)."""
    scale = 1.0
    while scale * scale * fan > 3:
        scale /= 2
    return scale


def fill(net):
    for seed, (name, p) in enumerate(sorted(net.named_parameters()), 100):
        data = numbers(p.numel(), seed)
        if name.endswith("weight_g"):
            data = 1 + data / 2
        elif p.dim() > 1:
            data = data * power(p[0].numel())
        elif name.endswith("bn3.weight"):
            data = 0.25 + data / 16
        elif name.endswith("weight"):
            data = 1 + data / 4
        else:
            data = data / 4
        with torch.no_grad():
            p.copy_(data.reshape(p.shape))


def places(count):
    return [at * (count - 1) // 7 for at in range(8)]


def case(make, shape, outputs):
    net = make().double().train()
    fill(net)
    count = 1
    for extent in shape:
        count *= extent
    x = numbers(count, 1).reshape(shape)
    if outputs > 1:
        p = net(x)
        labels = p.numel() // outputs
        y = torch.tensor([(3 * i + 1) % outputs for i in range(labels)]).reshape(shape[0], *p.shape[2:])
        loss = F.cross_entropy(p, y)
    else:
        p = net(x)
        loss = F.mse_loss(p, numbers(shape[0], 2).reshape(-1, 1))
    loss.backward()
    short = lambda x: float(f"{x:.10g}")
    gradients = {}
    for name, parameter in net.named_parameters():
        flat = parameter.grad.flatten()
        some = [short(flat[at].item()) for at in places(flat.numel())]
        gradients[name] = {"shape": list(parameter.shape), "norm": short(flat.norm().item()), "some": some}
    return {"loss": short(loss.item()), "gradients": gradients}


cases = {
    "resnet18": case(lambda: ResNet(BasicBlock, [2, 2, 2, 2], 64, 7, True), (3, 3, 64, 64), 7),
    "resnet50": case(lambda: ResNet(Bottleneck, [3, 4, 6, 3], 64, 7, False), (2, 3, 12, 12), 7),
    "resnet20": case(lambda: ResNet(BasicBlock, [3, 3, 3], 16, 7, False), (4, 3, 16, 16), 7),
    "alexnet": case(lambda: AlexNet(7), (2, 3, 70, 64), 7),
    "tcn": case(lambda: Tcn(3, [8, 8, 12], 3, 1), (6, 20, 3), 1),
    "normed": case(Normed, (3, 4, 11, 14), 5),
    "unet": case(lambda: Unet(3, [6, 8, 12], 4), (2, 3, 11, 14), 4),
}
print(json.dumps(cases, indent=0))
