"""PyTorch on the CPU, as many threads as there are cores: the steps that `gridlight bench` times, with the same networks,
batches and optimizer. Backends: eager (default), compile (torch.compile), and the same with channels-last (-nhwc)."""
import os

import driver

args = driver.arguments(["eager", "compile", "eager-nhwc", "compile-nhwc"])

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(os.cpu_count())
torch.set_num_interop_threads(1)
torch.manual_seed(1)
W = args.workload
NHWC = args.backend.endswith("nhwc")


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.f1, self.f2 = nn.Linear(64 * 144, 128), nn.Linear(128, 10)

    def forward(self, x):
        h = F.max_pool2d(F.relu(self.c2(F.relu(self.c1(x)))), 2)
        return self.f2(F.relu(self.f1(h.flatten(1))))


class Seq(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.rnn, self.head = cell(32, 256, batch_first=True), nn.Linear(256, 1)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.mu, self.lv = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.d1, self.d2 = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x):
        h = F.relu(self.e(x))
        mu, lv = self.mu(h), self.lv(h)
        z = mu + torch.exp(0.5 * lv) * torch.randn_like(mu)
        return self.d2(F.relu(self.d1(z))), mu, lv


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.n2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.down = nn.Conv2d(i, o, 1, s, bias=False) if i != o else None

    def forward(self, x):
        r = self.down(x) if self.down is not None else x
        return F.relu(self.n2(self.c2(F.relu(self.n1(self.c1(x))))) + r)


class Transformer(nn.Module):
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
        self.blocks = nn.Sequential(*[Transformer(128, 4, True) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 77)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.embedding(x) + self.position))).flatten(0, 1)


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.position = nn.Conv2d(1, 64, 2, 2), nn.Parameter(torch.randn(16, 64) * 0.02)
        self.blocks = nn.Sequential(*[Transformer(64, 4, False) for _ in range(3)])
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x):
        h = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(h)).mean(1))


class Pair(nn.Module):
    """Generator and critic of WGAN-GP; a step is five of the critic's and one of the generator's."""
    def __init__(self):
        super().__init__()
        leaky = lambda: nn.LeakyReLU(0.2)
        self.generator = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
                                       nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1))
        self.critic = nn.Sequential(nn.Conv2d(1, 32, 4, 2, 1), leaky(), nn.Conv2d(32, 64, 4, 2, 1), leaky(), nn.Flatten(),
                                    nn.Linear(64 * 49, 128), leaky(), nn.Linear(128, 1))

    def critics_loss(self, x):
        with torch.no_grad():
            drawn = self.generator(torch.randn(len(x), 64))
        between = (drawn + torch.rand(len(x), 1, 1, 1) * (x - drawn)).requires_grad_()
        gradient, = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        length = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
        return (self.critic(drawn) - self.critic(x)).mean() + 10 * (length - 1).square().mean()

    def generators_loss(self, x):
        return -self.critic(self.generator(torch.randn(len(x), 64))).mean()


class Gcn(nn.Module):
    """Sums over neighbours are products with a sparse matrix, which is faster here than index_select and index_add_."""
    def __init__(self):
        super().__init__()
        source, target, weight = map(torch.tensor, driver.graph())
        self.neighbours = torch.sparse_coo_tensor(torch.stack([target, source]), weight, (10_000, 10_000)).coalesce().to_sparse_csr()
        self.a, self.b = nn.Linear(64, 16, bias=False), nn.Linear(16, 7, bias=False)
        self.bias_a, self.bias_b = nn.Parameter(torch.zeros(16)), nn.Parameter(torch.zeros(7))

    def forward(self, x):
        h = F.relu(self.neighbours @ self.a(x) + self.bias_a)
        return self.neighbours @ self.b(h) + self.bias_b


def resnet():
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                         Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def vae_loss(out, x):
    logits, mu, lv = out
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return (bce - 0.5 * torch.sum(1 + lv - mu * mu - lv.exp())) / x.shape[0]


if W.startswith("matmul"):
    n = int(W[6:])
    a, c = torch.randn(n, n) / n ** 0.5, torch.randn(n, n)

    @torch.no_grad()
    def step():
        global c
        c = a @ c
        return c

    read = lambda c: c[0, 0].item()
elif W.startswith("conv_"):
    grad = W == "conv_fwdbwd"
    x, w, g = torch.randn(32, 32, 28, 28, requires_grad=grad), torch.randn(64, 32, 3, 3, requires_grad=grad), torch.randn(32, 64, 28, 28)
    if NHWC:
        x, w, g = (t.detach().to(memory_format=torch.channels_last).requires_grad_(t.requires_grad) for t in (x, w, g))

    def step():
        y = F.conv2d(x, w, padding=1)
        if grad:
            x.grad = w.grad = None
            y.backward(g)
            return w.grad
        return y

    read = lambda t: t.detach().flatten()[0].item()
elif W == "wgan-gp":
    model, x = Pair(), torch.rand(driver.BATCH[W], 1, 28, 28)
    turns = [(model.critic, model.critics_loss)] * 5 + [(model.generator, model.generators_loss)]
    optimizers = {part: torch.optim.Adam(part.parameters(), lr=1e-3, fused=True) for part in (model.critic, model.generator)}
    if args.backend.startswith("compile"):
        raise SystemExit("torch.compile has no second derivatives")

    def step():
        for part, loss_of in turns:
            optimizers[part].zero_grad(set_to_none=True)
            loss = loss_of(x)
            loss.backward(inputs=list(part.parameters()))
            optimizers[part].step()
        return loss

    read = lambda loss: loss.item()
else:
    b = driver.BATCH[W]
    ids = torch.arange(b) % 10
    if W.startswith("mlp"):
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
        x, y, loss_fn = torch.randn(b, 64), torch.randn(b, 1), F.mse_loss
    elif W == "cnn":
        model, x, y, loss_fn = Cnn(), torch.randn(b, 1, 28, 28), ids, F.cross_entropy
    elif W in ("rnn", "lstm"):
        model = Seq(nn.RNN if W == "rnn" else nn.LSTM)
        x, y, loss_fn = torch.randn(b, 64, 32), torch.randn(b, 1), F.mse_loss
    elif W == "vae":
        x = (torch.rand(b, 784) < 0.25).float()
        model, y, loss_fn = Vae(), x, vae_loss
    elif W == "resblock":
        model, x, y, loss_fn = resnet(), torch.randn(b, 3, 32, 32), ids, F.cross_entropy
    elif W == "gpt":
        model, x, y, loss_fn = Gpt(), torch.randint(77, (b, 64)), torch.randint(77, (b * 64,)), F.cross_entropy
    elif W == "gcn":
        model, x, y, loss_fn = Gcn(), torch.randn(b, 64), torch.arange(b) % 7, F.cross_entropy
    elif W == "vit":
        model, x, y, loss_fn = Vit(), torch.randn(b, 1, 8, 8), ids, F.cross_entropy
    else:
        raise SystemExit("unknown workload " + W)
    if NHWC:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    forward = lambda: loss_fn(model(x), y)
    if args.backend.startswith("compile"):
        forward = torch.compile(forward)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward()
        loss.backward()
        optimizer.step()
        return loss

    read = lambda loss: loss.item()

driver.drive("torch-" + torch.__version__.split("+")[0], args, step, read)
