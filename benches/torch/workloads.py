"""The workloads of src/workloads.rs in PyTorch, with the same sizes, names and parameter order.

    python3 workloads.py [--device cpu] [--threads 2] [--modes eager,fused] [--compile] [w1 w2 ..]

prints a line of JSON for each workload and mode: the median, least and greatest steps per second of 7 blocks of half a
second. `--serve` is what `compare` speaks: it says its version, reads lines `WORKLOAD MODE SECONDS` and answers `{"steps_per_s": …}`, or
`WORKLOAD losses FILE STEPS [float64]` and answers `{"losses": […]}`, having trained from the file's weights on its data.
`--first WORKLOAD` runs one step, says so, and after twenty more how much memory the process had at most.
"""

import argparse
import json
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Mlp(nn.Module):
    def __init__(self, sizes, activation):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.activation = activation

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * 7 * 7, 128)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.head(F.relu(self.hidden(x.flatten(1))))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        # The order of nn.MultiheadAttention's parameters; the projection is one matrix, attention PyTorch's fused one.
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.in_proj(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out_proj(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, vocabulary=96, length=64, width=128, heads=4, blocks=4):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x):
        x = self.tokens(x) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).flatten(0, 1)


class Residual(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(a, b, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(b)
        self.conv2 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(b)
        self.shortcut = nn.Sequential()
        if stride != 1 or a != b:
            self.shortcut = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(64)
        widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        self.blocks = nn.ModuleList(Residual(*each) for each in widths)
        self.head = nn.Linear(512, 10)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(14, 100, batch_first=True)
        self.head = nn.Linear(100, 1)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def labels(count, classes):
    return torch.arange(count) * 7919 % classes


def workload(name):
    """Model, inputs, targets and loss."""
    if name == "w1":
        return Mlp([784, 512, 256, 10], F.relu), torch.randn(256, 784), labels(256, 10), F.cross_entropy
    if name == "w2":
        return Cnn(), torch.randn(64, 1, 28, 28), labels(64, 10), F.cross_entropy
    if name == "w3":
        numbers = labels(16 * 64 + 1, 96)
        return Transformer(), numbers[:-1].view(16, 64), numbers[1:], F.cross_entropy
    if name == "w4":
        return Mlp([4, 64, 64, 2], torch.tanh), torch.randn(64, 4), torch.randn(64, 2), F.mse_loss
    if name == "w5":
        return ResNet(), torch.randn(64, 3, 32, 32), labels(64, 10), F.cross_entropy
    if name == "w6":
        return Recurrent(), torch.randn(64, 30, 14), torch.randn(64, 1), F.mse_loss
    raise ValueError(f"no workload {name}")


class Single:
    """A product `m256`, `m1024-at`, `m4096-f16` .. or the convolution `c` with both gradients."""

    def __init__(self, name, mode, device):
        if mode != "eager":
            raise ValueError(f"{name} has no mode {mode}")
        size, _, form = name[1:].partition("-")
        if name == "c":
            x, w = torch.randn(16, 64, 56, 56, device=device), torch.randn(64, 64, 3, 3, device=device)
            dy = torch.randn(16, 64, 56, 56, device=device)
            x.requires_grad_(), w.requires_grad_()

            def run():
                y = F.conv2d(x, w, padding=1)
                return torch.autograd.grad(y, (x, w), dy)[1]

        else:
            kind = torch.float16 if form == "f16" else torch.float32
            a, b = (torch.randn(int(size), int(size), device=device).to(kind) for _ in range(2))
            a, b = (a.T if form == "at" else a), (b.T if form == "bt" else b)

            def run():
                return a @ b

        self.run, self.device, self.rate = run, device, 1.0

    def step(self):
        return self.run().flatten()[0]


class Running:
    """A workload that was built: `mode` is eager, fused (Adam's fused kernel) or compile (that, and torch.compile)."""

    def __init__(self, name, mode, device, tensors=None):
        if mode not in ("eager", "fused", "compile"):
            raise ValueError(f"no mode {mode}")
        model, x, y, loss = workload(name)
        if tensors is not None:
            x, y = tensors["x"].to(x.dtype), tensors["y"].to(y.dtype)
            with torch.no_grad():
                for i, parameter in enumerate(model.parameters()):
                    # Same shape, or this is another model; `copy_` alone would broadcast.
                    given = tensors[f"p{i:03}"]
                    assert given.shape == parameter.shape, (i, given.shape, parameter.shape)
                    parameter.copy_(given)
            assert f"p{i + 1:03}" not in tensors, "the file has more parameters"
        self.x, self.y, self.loss, self.device = x.to(device), y.to(device), loss, device
        self.model = model.to(device)
        fused = {} if mode == "eager" else {"fused": True}
        self.adam = torch.optim.Adam(self.model.parameters(), lr=1e-3, **fused)
        self.run = torch.compile(self.model) if mode == "compile" else self.model
        self.rate = 1.0

    def step(self):
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.run(self.x), self.y)
        loss.backward()
        self.adam.step()
        return loss


def block(running, seconds):
    """Steps per second over about this many seconds; the loss is read once, at the end."""
    steps = max(1, math.ceil(running.rate * seconds))
    begin = time.perf_counter()
    for _ in range(steps):
        loss = running.step()
    loss.item()
    if running.device != "cpu":
        torch.cuda.synchronize()
    running.rate = steps / (time.perf_counter() - begin)
    return running.rate


def started(name, mode, device, seconds):
    """A workload that was built and warmed up."""
    running = Running(name, mode, device) if name[0] == "w" else Single(name, mode, device)
    for part in [0, 0, seconds / 4, seconds / 2]:
        # After two, a step that is longer than a block has nothing to settle.
        if part == 0 or running.rate * seconds >= 1:
            block(running, part)
    return running


def first(name, mode, device):
    """Says when the first step is done, then how much memory it took at most."""
    running = Running(name, mode, device)
    print(json.dumps({"loss": running.step().item()}), flush=True)
    for _ in range(20):
        running.step().item()
    with open("/proc/self/status") as status:
        kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"peak_bytes": kilobytes * 1024}), flush=True)


def losses(name, file, steps, device, exact):
    from safetensors.torch import load_file

    running = Running(name, "eager", device, load_file(file))
    if exact:
        running.model.double()
        if running.x.is_floating_point():
            running.x = running.x.double()
        if running.y.is_floating_point():
            running.y = running.y.double()
    return [running.step().item() for _ in range(steps)]


def serve(device):
    print(json.dumps({"version": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"}), flush=True)
    running = {}
    for line in sys.stdin:
        try:
            name, mode, *rest = line.split()
            if mode == "losses":
                answer = {"losses": losses(name, rest[0], int(rest[1]), device, "float64" in rest)}
            else:
                seconds = float(rest[0])
                if (name, mode) not in running:
                    running[name, mode] = started(name, mode, device, seconds)
                answer = {"steps_per_s": block(running[name, mode], seconds)}
        except Exception as error:  # Whatever it is, `compare` says it and goes on with the others.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=["w1", "w2", "w3", "w4"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--modes", default="eager,fused")
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes a while to begin")
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--first")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # float32 means float32: no TF32 on GPUs.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    if options.serve and options.device != "cpu" and not torch.cuda.is_available():
        return print(json.dumps({"error": f"this PyTorch {torch.__version__} finds no {options.device}"}), flush=True)
    if options.serve:
        return serve(options.device)
    if options.first:
        return first(options.first, options.modes.split(",")[0], options.device)
    modes = options.modes.split(",") + (["compile"] if options.compile else [])
    for name in options.workloads:
        for mode in modes:
            running = started(name, mode, options.device, options.seconds)
            rates = [block(running, options.seconds) for _ in range(options.blocks)]
            line = {"name": name, "mode": mode, "steps_per_s": statistics.median(rates)}
            print(json.dumps(line | {"min": min(rates), "max": max(rates)}), flush=True)


if __name__ == "__main__":
    main()
