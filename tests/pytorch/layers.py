"""Makes layers.json in this folder with PyTorch: layers, losses, schedules, initial weights.

usage: python3 tests/pytorch/layers.py > tests/pytorch/layers.json   (needs torch and numpy)

All figures are in double precision, of inputs that single precision holds exactly. A model is described as an
experiment file describes it; the names of its tensors are those of PyTorch's `state_dict`.
"""
import json
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(20)


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float32).double()


def plain(tensor):
    tensor = tensor.detach()
    return {"shape": list(tensor.shape), "data": [float(f"{x:.12g}") for x in tensor.double().flatten()]}


def activation(name):
    functions = {
        "relu": F.relu, "leaky_relu": F.leaky_relu, "elu": F.elu, "gelu": F.gelu, "silu": F.silu,
        "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": F.softplus,
    }
    class Activation(nn.Module):
        def forward(self, x):
            return functions[name](x)
    return Activation()


class Net(nn.Module):
    """Numbers and embedded categories side by side, then the layers, named 0, 1, ..."""

    def __init__(self, layers, features, categories, width):
        super().__init__()
        self.features, self.count = features, len(layers)
        if categories:
            tables = {name: nn.Embedding(size, width) for name, size in categories}
            self.embedding = nn.ModuleDict(tables)
        units = features + width * len(categories)
        for number, layer in enumerate(layers):
            kind = layer["type"]
            if kind == "dense":
                made = nn.Linear(units, layer["units"], bias=layer.get("bias", True))
                units = layer["units"]
            elif kind == "activation":
                made = activation(layer["function"])
            elif kind == "dropout":
                made = nn.Dropout(layer["rate"])
            elif kind == "layer_norm":
                made = nn.LayerNorm(units, eps=layer.get("eps", 1e-5))
            else:
                made = nn.BatchNorm1d(units, eps=layer.get("eps", 1e-5), momentum=layer.get("momentum", 0.1))
            self.add_module(str(number), made)
        self.units = units

    def forward(self, x, ids):
        parts = [x] if self.features else []
        parts += [self.embedding[name](i) for name, i in ids.items()]
        h = torch.cat(parts, 1)
        for number in range(self.count):
            h = getattr(self, str(number))(h)
        return h


def loss_of(config, p, y, reduction):
    kind = config["type"]
    if kind == "cross_entropy":
        weights = config.get("class_weights")
        weights = torch.tensor(weights, dtype=torch.float64) if weights else None
        return F.cross_entropy(p, y, weight=weights, reduction=reduction,
                               label_smoothing=config.get("label_smoothing", 0.0))
    functions = {
        "mse": F.mse_loss, "mae": F.l1_loss, "bce_with_logits": F.binary_cross_entropy_with_logits,
        "huber": lambda p, y, reduction: F.huber_loss(p, y, reduction=reduction, delta=config.get("delta", 1.0)),
    }
    return functions[kind](p, y, reduction=reduction)


def case(name, layers, loss, batch=7, features=5, categories=(), width=None, training=True):
    net = Net(layers, features, categories, width or 0).double()
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                # Any values will do; running variances must be positive.
                tensor.copy_(numbers(*tensor.shape).abs() + 0.5 if key.endswith("_var") else numbers(*tensor.shape))
    net.train(training)
    sources = {k: plain(v) for k, v in net.state_dict().items() if v.is_floating_point()}
    names = [[k, list(v.shape)] for k, v in net.state_dict().items()]
    x = numbers(batch, features).requires_grad_() if features else None
    ids = {column: torch.randint(0, size, (batch,)) for column, size in categories}
    p = net(x, ids)
    if loss["type"] == "cross_entropy":
        y = torch.randint(0, net.units, (batch,))
    elif loss["type"] == "bce_with_logits":
        y = torch.rand(batch, net.units, dtype=torch.float32).double().round()
    else:
        y = numbers(batch, net.units)
    total = loss_of(loss, p, y, "mean")
    total.backward()
    rows = loss_of(loss, p, y, "none")
    rows = rows if rows.dim() == 1 else rows.mean(1)
    sources["y"] = plain(y)
    gradients = {k: plain(v.grad) for k, v in net.named_parameters()}
    if features:
        sources["x"] = plain(x)
        gradients["x"] = plain(x.grad)
    sources.update({f"category.{k}": plain(v) for k, v in ids.items()})
    updates = {k: plain(v) for k, v in net.named_buffers() if v.is_floating_point()} if training else {}
    return {
        "name": name, "layers": layers, "loss": loss, "batch": batch, "features": features, "outputs": net.units,
        "categories": list(categories), "embedding_width": width, "training": training, "state_dict": names,
        "sources": sources, "predictions": plain(p), "loss_rows": plain(rows), "total": plain(total),
        "gradients": gradients, "updates": updates,
    }


def dense(units, **more):
    return {"type": "dense", "units": units, **more}


mse, norm = {"type": "mse"}, {"type": "batch_norm"}
cases = [
    case("dense", [dense(3)], mse),
    case("dense without bias", [dense(3, bias=False)], mse),
    case("dense of one row", [dense(4)], mse, batch=1),
    case("dropout in evaluation", [{"type": "dropout", "rate": 0.5}], mse, training=False),
    case("layer norm", [{"type": "layer_norm"}], mse),
    case("layer norm with eps", [{"type": "layer_norm", "eps": 0.01}], mse, features=9),
    case("batch norm in training", [norm], mse),
    case("batch norm with settings", [{**norm, "eps": 0.01, "momentum": 0.3}], mse, batch=12),
    case("batch norm of two rows", [norm], mse, batch=2),
    case("batch norm in evaluation", [norm], mse, training=False),
    case("embedding", [], mse, features=0, categories=[["c", 6]], width=3),
    case("embeddings beside numbers", [dense(2)], mse, features=3, categories=[["c", 6], ["d", 2]], width=4),
]
for function in ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus"]:
    cases.append(case(function, [{"type": "activation", "function": function}], mse))
mlp = []
for units in [16, 8]:
    mlp += [dense(units), norm, {"type": "activation", "function": "relu"}, {"type": "dropout", "rate": 0.25}]
for training in [True, False]:
    form = [{**layer, "rate": 0.0} if training and layer["type"] == "dropout" else layer for layer in mlp]
    name = "mlp in training" if training else "mlp in evaluation"
    cases.append(case(name, form + [dense(1)], mse, 32, 4, [["c", 6], ["d", 3]], 4, training))
class_weights = [0.5, 2.0, 1.0, 3.5]
losses = [
    mse, {"type": "mae"}, {"type": "huber"}, {"type": "huber", "delta": 0.3}, {"type": "bce_with_logits"},
    {"type": "cross_entropy"}, {"type": "cross_entropy", "label_smoothing": 0.1},
    {"type": "cross_entropy", "class_weights": class_weights},
    {"type": "cross_entropy", "class_weights": class_weights, "label_smoothing": 0.2},
]
for loss in losses:
    settings = ", ".join(f"{k} = {v}" for k, v in loss.items() if k != "type")
    cases.append(case(f"{loss['type']} {settings}".strip(), [], loss, batch=9, features=4))


def rates(make, steps, every=1):
    """The learning rate of each step, the scheduler advanced every `every` steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.03)
    scheduler, found = make(optimizer), []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return found


s = torch.optim.lr_scheduler


def warm_up(steps, then):
    """Linear from 1/steps of the rate to the whole of it at step number `steps`."""
    def make(o):
        first = s.LinearLR(o, start_factor=1 / steps, end_factor=1.0, total_iters=steps - 1)
        return s.SequentialLR(o, [first, then(o)], milestones=[steps])
    return make


schedules = [
    {"name": "constant", "schedule": {"type": "constant"}, "steps_per_epoch": 4,
     "rates": rates(lambda o: s.ConstantLR(o, factor=1.0), 20)},
    {"name": "step", "schedule": {"type": "step", "every_epochs": 2, "gamma": 0.3}, "steps_per_epoch": 4,
     "rates": rates(lambda o: s.StepLR(o, 2, 0.3), 40, every=4)},
    {"name": "cosine", "schedule": {"type": "cosine"}, "steps_per_epoch": 4,
     "rates": rates(lambda o: s.CosineAnnealingLR(o, 30), 30)},
    {"name": "warm-up", "schedule": {"type": "constant", "warmup_steps": 6}, "steps_per_epoch": 4,
     "rates": rates(warm_up(6, lambda o: s.ConstantLR(o, factor=1.0)), 20)},
    {"name": "cosine after a warm-up", "steps_per_epoch": 4,
     "schedule": {"type": "cosine", "warmup_steps": 5, "final_fraction": 0.1},
     "rates": rates(warm_up(5, lambda o: s.CosineAnnealingLR(o, 25, eta_min=0.003)), 30)},
]


def statistics(tensor):
    tensor = tensor.detach().double()
    return {"shape": list(tensor.shape), "least": tensor.min().item(), "most": tensor.max().item(),
            "mean": tensor.mean().item(), "deviation": tensor.std(correction=0).item()}


initial = Net([dense(500), norm, {"type": "layer_norm"}, dense(100)], 48, [["c", 400]], 16)
initial = {k: statistics(v) for k, v in initial.state_dict().items() if v.is_floating_point()}

# One entry a line.
parts = {"cases": cases, "schedules": schedules, "initial": [{"name": k, **v} for k, v in initial.items()]}
blocks = [f'"{key}": [\n' + ",\n".join(json.dumps(e) for e in entries) + "\n]" for key, entries in parts.items()]
print("{" + ",\n".join(blocks) + "}")
