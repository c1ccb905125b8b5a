"""Writes optimizers.json: what PyTorch's optimizers make of two parameters in 50 steps.

    python3 optimizers.py > optimizers.json

The loss is f(a, b) = sum(a^4)/4 + sum(a)^2/8 + sum(a[0] * b) + sum(b^2), whose gradient is polynomial, so that the
optimizer alone is compared. All in f64: the test allows what f32 loses.
"""
import json
import torch

torch.set_default_dtype(torch.float64)
A = [[0.5, -1.25, 0.75], [1.5, -0.25, 0.125]]
B = [0.25, -0.5, 1.0]
STEPS = 50


def run(make, clip=None, schedule=None):
    a, b = (torch.tensor(x, requires_grad=True) for x in (A, B))
    optimizer = make([a, b])
    for step in range(STEPS):
        if schedule:
            optimizer.param_groups[0]["lr"] = schedule(step)
        optimizer.zero_grad()
        loss = (a**4).sum() / 4 + a.sum() ** 2 / 8 + (a[0] * b).sum() + (b**2).sum()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_([a, b], clip)
        optimizer.step()
    return {"a": a.flatten().tolist(), "b": b.tolist()}


O = torch.optim
print(json.dumps({
    "torch": torch.__version__,
    "sgd": run(lambda p: O.SGD(p, lr=0.02)),
    "momentum": run(lambda p: O.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.1)),
    "nesterov": run(lambda p: O.SGD(p, lr=0.02, momentum=0.9, nesterov=True)),
    "adam": run(lambda p: O.Adam(p, lr=0.05)),
    "adam_decay": run(lambda p: O.Adam(p, lr=0.05, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1)),
    "adamw": run(lambda p: O.AdamW(p, lr=0.05, weight_decay=0.1)),
    "adamw_clipped": run(lambda p: O.AdamW(p, lr=0.05, weight_decay=0.1), clip=0.5),
    "adamw_schedule": run(lambda p: O.AdamW(p, lr=0.05, weight_decay=0.1), schedule=lambda t: 0.05 / (t + 1)),
}, indent=1))
