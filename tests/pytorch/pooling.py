"""Makes pooling.json in this folder with PyTorch: pooling and resampling with their gradients.

usage: python3 tests/pytorch/pooling.py > tests/pytorch/pooling.json   (needs torch)

Images are small multiples of 1/4, so that windows have ties; one has NaN and infinities. All figures are in double
precision of numbers that single precision holds exactly. Tensors are `[N, C, H, W]`, as PyTorch has them.
"""
import json
import torch
from torch.nn import functional as F

torch.manual_seed(4)


def plain(tensor):
    def text(x):
        if x != x or x in (float("inf"), float("-inf")):
            return str(x)
        return int(x) if x == int(x) else float(f"{x:.9g}")

    return {"shape": list(tensor.shape), "data": [text(float(x)) for x in tensor.detach().double().flatten()]}


def quarters(*shape):
    return (torch.randint(-8, 9, shape).double() / 4).contiguous()


def case(op, x, run, **attributes):
    x = x.clone().requires_grad_()
    y = run(x)
    dy = quarters(*y.shape)
    y.backward(dy)
    return {"op": op, **attributes, "x": plain(x), "y": plain(y), "dy": plain(dy), "dx": plain(x.grad)}


def pooling(x, **a):
    pair = lambda v: list(v) if isinstance(v, tuple) else [v, v]
    window, stride = a["kernel_size"], a.get("stride", a["kernel_size"])
    padding, dilation, ceil_mode = a.get("padding", 0), a.get("dilation", 1), a.get("ceil_mode", False)
    common = dict(window=pair(window), stride=pair(stride), padding=pair(padding), ceil_mode=ceil_mode)
    found = [case("max", x, lambda x: F.max_pool2d(x, window, stride, padding, dilation, ceil_mode),
                  dilation=pair(dilation), **common)]
    if dilation == 1 and not torch.isnan(x).any():
        for include, divisor in [(True, None), (False, None), (True, 5)]:
            run = lambda x: F.avg_pool2d(x, window, stride, padding, ceil_mode, include, divisor)
            found.append(case("average", x, run, dilation=[1, 1], count_include_pad=include, divisor=divisor,
                              **common))
    return found


special = quarters(1, 2, 6, 6)
special[0, 0, 1, 1] = special[0, 0, 1, 2] = special[0, 1, 3, 3] = float("nan")
special[0, 0, 4, 4] = float("inf")
special[0, 1, :2, :2] = float("-inf")
cases = [
    *pooling(quarters(2, 4, 4, 6), kernel_size=2),
    *pooling(quarters(1, 3, 7, 5), kernel_size=2, ceil_mode=True),
    *pooling(quarters(1, 4, 8, 7), kernel_size=3, stride=2, padding=1),
    *pooling(quarters(1, 2, 8, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True),
    *pooling(quarters(1, 2, 5, 5), kernel_size=3, stride=1, padding=1),
    *pooling(quarters(1, 1, 9, 7), kernel_size=(2, 3), stride=3),
    *pooling(quarters(1, 3, 9, 9), kernel_size=3, stride=2, dilation=2, padding=1),
    *pooling(quarters(1, 2, 2, 3), kernel_size=(4, 5), stride=1, padding=2),
    *pooling(quarters(1, 3, 1, 11), kernel_size=(1, 4), stride=(1, 3), padding=(0, 2)),
    *pooling(special, kernel_size=2),
    *pooling(special, kernel_size=3, stride=1, padding=1),
]
for size in [(6, 8), (5, 5), (2, 3), (7, 9), (3, 4)]:
    x = quarters(1, 2, 3, 4)
    cases.append(case("nearest", x, lambda x: F.interpolate(x, size, mode="nearest"), size=size))
    for corners in [False, True]:
        run = lambda x: F.interpolate(x, size, mode="bilinear", align_corners=corners)
        cases.append(case("linear", x, run, size=size, align_corners=corners))
for scale in [(2.0, 3.0), (2.5, 1.7), (0.5, 0.4), (1.3, 0.9)]:
    x = quarters(1, 2, 7, 10)
    cases.append(case("nearest", x, lambda x: F.interpolate(x, scale_factor=scale, mode="nearest"), scale=scale))
    for corners in [False, True]:
        run = lambda x: F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=corners)
        cases.append(case("linear", x, run, scale=scale, align_corners=corners))
print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")
