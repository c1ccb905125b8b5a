"""Writes weights_torch.safetensors with PyTorch and safetensors: one tensor of each type that is read.

    python3 weights.py
"""
import torch
from safetensors.torch import save_file

x = torch.tensor([[1.5, -2.0, 0.0], [65504.0, -0.25, 3.0]])
save_file({"f32": x, "f64": x.double(), "f16": x.half(), "bf16": x.bfloat16(), "count": torch.tensor(7)},
          "weights_torch.safetensors", metadata={"format": "pt"})
