"""Makes convolutions.jsonl in this folder with PyTorch: every variant of convolution with its gradients.

usage: python3 tests/pytorch/convolutions.py > tests/pytorch/convolutions.jsonl   (needs torch)

Operator cases (`gridlight verify --cases`) of small multiples of 1/4, so that all figures are exact in single
precision. Layouts are PyTorch's: images `[N, C, H, W]`, weights `[O, C / groups, kH, kW]`.
"""
import json
import torch
from torch.nn import functional as F

torch.manual_seed(5)


def quarters(*shape):
    return (torch.randint(-8, 9, shape).double() / 4).contiguous()


def plain(tensor):
    data = [int(x) if x == int(x) else x for x in tensor.detach().flatten().tolist()]
    return {"shape": list(tensor.shape), "dtype": "f32", "data": data}


def case(name, op, x, w, bias, **params):
    inputs = {"x": quarters(*x), "w": quarters(*w)}
    outputs = w[1] * params.get("groups", 1) if "transpose" in op else w[0]
    if bias:
        inputs["b"] = quarters(outputs)
    for t in inputs.values():
        t.requires_grad_()
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}
    y = getattr(F, op)(inputs["x"], inputs["w"], inputs.get("b"), **arguments)
    dy = quarters(*y.shape)
    y.backward(dy)
    print(json.dumps({
        "name": name, "op": op, "params": params, "inputs": {k: plain(t) for k, t in inputs.items()},
        "y": [plain(y)], "dy": [plain(dy)], "grads": {k: plain(t.grad) for k, t in inputs.items()},
    }, separators=(",", ":")))


conv = lambda name, x, w, bias=False, **p: case("conv2d_" + name, "conv2d", x, w, bias, **p)
conv("plain", (2, 3, 5, 6), (4, 3, 3, 3), True)
conv("padded", (1, 4, 5, 5), (8, 4, 3, 3), padding=1)
conv("wide_padding", (1, 2, 4, 3), (3, 2, 3, 3), padding=[2, 3])
conv("stride_2", (1, 3, 7, 8), (4, 3, 3, 3), True, stride=2, padding=1)
conv("stride_3", (1, 2, 11, 10), (3, 2, 3, 2), stride=3)
conv("strides_differ", (1, 2, 7, 9), (2, 2, 3, 3), stride=[1, 2], padding=[1, 0])
conv("dilation_2", (1, 2, 9, 8), (3, 2, 3, 3), dilation=2)
conv("dilations_differ", (1, 2, 8, 9), (3, 2, 2, 3), dilation=[3, 2], padding=2, stride=2)
conv("groups_2", (2, 4, 5, 4), (6, 2, 3, 3), True, groups=2, padding=1)
conv("depthwise", (1, 5, 6, 5), (5, 1, 3, 3), groups=5, padding=1)
conv("depthwise_multiplier", (1, 3, 5, 5), (6, 1, 3, 3), groups=3, stride=2, padding=1)
conv("pointwise", (2, 5, 3, 4), (7, 5, 1, 1), True)
conv("pointwise_stride_2", (1, 4, 5, 5), (8, 4, 1, 1), stride=2)
conv("kernel_larger_than_the_edge", (1, 2, 2, 3), (3, 2, 5, 5), padding=2)
conv("kernel_as_large_as_the_image", (2, 3, 4, 4), (5, 3, 4, 4), True)
conv("one_line", (1, 3, 1, 9), (2, 3, 1, 4), padding=[0, 1])
conv("one_pixel", (1, 1, 1, 1), (1, 1, 1, 1))
signal = lambda name, x, w, bias=False, **p: case("conv1d_" + name, "conv1d", x, w, bias, **p)
signal("plain", (2, 3, 9), (4, 3, 3), True)
signal("everything", (1, 4, 12), (6, 2, 3), stride=2, padding=2, dilation=2, groups=2)
up = lambda name, x, w, bias=False, **p: case("conv_transpose2d_" + name, "conv_transpose2d", x, w, bias, **p)
up("plain", (1, 3, 3, 4), (3, 2, 3, 3), True)
up("stride_2", (2, 4, 3, 3), (4, 3, 2, 2), stride=2)
up("output_padding", (1, 3, 4, 3), (3, 2, 3, 3), stride=[2, 3], padding=1, output_padding=[1, 2])
up("dilation_2", (1, 2, 3, 4), (2, 3, 3, 2), dilation=2, padding=1)
up("groups_2", (1, 4, 3, 3), (4, 3, 3, 3), True, groups=2, stride=2, padding=1)
