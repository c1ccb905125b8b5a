"""Trains two convolutions on MNIST with PyTorch and writes them as safetensors, for the example fine_tune.

    python examples/data/mnist_features.py path/to/mnist

The images are shrunk to 8x8 as those of the digits are: 24x24 in their middle, the mean of each 3x3.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

torch.manual_seed(0)
torch.set_num_threads(1)
directory = Path(sys.argv[1])


def idx(name, header):
    return np.frombuffer(gzip.open(directory / name).read(), np.uint8, offset=header)


def part(name):
    images = torch.tensor(idx(f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28) / 255.0, dtype=torch.float32)
    images = torch.nn.functional.avg_pool2d(images[:, :, 2:26, 2:26], 3)
    return images, torch.tensor(idx(f"{name}-labels-idx1-ubyte.gz", 8).astype(np.int64))


nn = torch.nn
net = nn.Sequential()
net.features = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU())
net.head = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10))
x, y = part("train")
epochs, batch = 3, 128
adam = torch.optim.Adam(net.parameters(), 3e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, epochs * (len(x) // batch))
for epoch in range(epochs):
    for rows in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
        loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
with torch.no_grad():
    x, y = part("t10k")
    print("MNIST at 8x8, test accuracy", (net(x).argmax(1) == y).float().mean().item())
weights = {f"features.{name}": value.contiguous() for name, value in net.features.state_dict().items()}
save_file(weights, Path(__file__).with_suffix(".safetensors"))
