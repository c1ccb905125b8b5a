"""Writes schedules.json: the rates of PyTorch's lr_schedulers over 60 steps.

    python3 schedules.py > schedules.json
"""
import json
import torch
import torch.optim.lr_scheduler as S

STEPS = 60
# What the plateau watches: it falls, stays, falls a little, rises.
VALUES = [1 / (1 + t) if t < 8 else 0.125 - 0.0005 * (t // 10) + 0.001 * (t % 3) for t in range(STEPS)]


def run(make, lr=0.1, values=None):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    schedule, rates = make(optimizer), []
    for step in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*([values[step]] if values else []))
    return rates


def sequence(o):
    parts = [S.LinearLR(o, 0.1, 1.0, 10), S.CosineAnnealingWarmRestarts(o, 8, 2), S.ExponentialLR(o, 0.9)]
    return S.SequentialLR(o, parts, [10, 40])


noam = lambda t: 64**-0.5 * min((t + 1) ** -0.5, (t + 1) * 12**-1.5)
print(json.dumps({
    "torch": torch.__version__,
    "values": VALUES,
    "constant": run(lambda o: S.ConstantLR(o, 1.0)),
    "step": run(lambda o: S.StepLR(o, 7, 0.5)),
    "multi_step": run(lambda o: S.MultiStepLR(o, [5, 20, 41], 0.3)),
    "exponential": run(lambda o: S.ExponentialLR(o, 0.93)),
    "linear": run(lambda o: S.LinearLR(o, 0.2, 0.8, 25)),
    "cosine": run(lambda o: S.CosineAnnealingLR(o, STEPS, 0.01)),
    "restarts": run(lambda o: S.CosineAnnealingWarmRestarts(o, 8, 2, 0.01)),
    "restarts_equal": run(lambda o: S.CosineAnnealingWarmRestarts(o, 9, 1)),
    "one_cycle": run(lambda o: S.OneCycleLR(o, 0.1, total_steps=STEPS + 1)),
    "one_cycle_short": run(lambda o: S.OneCycleLR(o, 0.1, total_steps=STEPS + 1, pct_start=0.1, div_factor=10, final_div_factor=100)),
    "polynomial": run(lambda o: S.PolynomialLR(o, 40, 2.0)),
    "noam": run(lambda o: S.LambdaLR(o, noam), lr=1.0),
    "plateau": run(lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=3, cooldown=2, min_lr=0.004), values=VALUES),
    "plateau_rising": run(lambda o: S.ReduceLROnPlateau(o, mode="max", factor=0.1, patience=5), values=VALUES),
    "sequence": run(sequence),
}, indent=1))
