"""Writes rotation.json: PyTorch's grid_sample turning small images, bilinear, zeros outside.

    python3 rotation.py > rotation.json

As torchvision's rotate does: pixel centres, about the centre, counter-clockwise.
"""
import json
import math
import torch

torch.set_default_dtype(torch.float64)
x = torch.arange(1.0, 1 + 2 * 2 * 4 * 5).reshape(2, 2, 4, 5) ** 2 / 64
degrees = [30.0, -75.0]
n, c, rows, columns = x.shape
v, u = torch.meshgrid(torch.arange(rows) - (rows - 1) / 2, torch.arange(columns) - (columns - 1) / 2, indexing="ij")
grids = []
for angle in (math.radians(d) for d in degrees):
    column = u * math.cos(angle) - v * math.sin(angle) + (columns - 1) / 2
    row = u * math.sin(angle) + v * math.cos(angle) + (rows - 1) / 2
    grids.append(torch.stack([(2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1], -1))
y = torch.nn.functional.grid_sample(x, torch.stack(grids), mode="bilinear", padding_mode="zeros", align_corners=False)
json.dump({"shape": list(x.shape), "x": x.flatten().tolist(), "degrees": degrees, "y": y.flatten().tolist()}, __import__("sys").stdout)
print()
