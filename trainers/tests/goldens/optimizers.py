"""Writes optimizers.json: what PyTorch's optimizers make of two parameters in 50 steps.

    python3 optimizers.py > optimizers.json

The loss is f(a, b) = sum(a^4)/4 + sum(a)^2/8 + sum(a[0] * b) + sum(b^2), whose gradient is polynomial, so that the
optimizer alone is compared. All in f64: the test allows what f32 loses. What PyTorch does not have (Lion, Adan, LAMB) is
written here from its paper; Muon is PyTorch's with its iteration in f64 instead of bf16.
"""
import inspect
import json
import torch

torch.set_default_dtype(torch.float64)
A = [[0.5, -1.25, 0.75], [1.5, -0.25, 0.125]]
B = [0.25, -0.5, 1.0]
STEPS = 50


def run(make, norm=None, value=None, schedule=None):
    a, b = (torch.tensor(x, requires_grad=True) for x in (A, B))
    optimizers = make([a, b])
    optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
    for step in range(STEPS):
        if schedule:
            optimizers[0].param_groups[0]["lr"] = schedule(step)
        a.grad = b.grad = None
        loss = (a**4).sum() / 4 + a.sum() ** 2 / 8 + (a[0] * b).sum() + (b**2).sum()
        loss.backward()
        if value:
            torch.nn.utils.clip_grad_value_([a, b], value)
        if norm:
            torch.nn.utils.clip_grad_norm_([a, b], norm)
        for optimizer in optimizers:
            optimizer.step()
    return {"a": a.flatten().tolist(), "b": b.tolist()}


class Formula:
    """An optimizer as a function (p, g, state, t) -> new p, with t from 1."""

    def __init__(self, parameters, formula):
        self.parameters, self.formula = parameters, formula
        self.states, self.t = [{} for _ in parameters], 0

    @torch.no_grad()
    def step(self):
        self.t += 1
        for p, state in zip(self.parameters, self.states):
            p.copy_(self.formula(p.clone(), p.grad.clone(), state, self.t))


def lion(lr, b1, b2, decay):
    # Chen et al. 2023, program 1.
    def formula(p, g, state, t):
        m = state.get("m", torch.zeros_like(p))
        c = b1 * m + (1 - b1) * g
        state["m"] = b2 * m + (1 - b2) * g
        return p - lr * (torch.sign(c) + decay * p)
    return formula


def adan(lr, b1, b2, b3, eps, decay):
    # Xie et al. 2022, algorithm 1, with the bias corrections of its authors' code.
    def formula(p, g, state, t):
        m, v, n = (state.get(k, torch.zeros_like(p)) for k in "mvn")
        d = g - state.get("h", g)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * d
        n = b3 * n + (1 - b3) * (g + b2 * d) ** 2
        state.update(m=m, v=v, n=n, h=g)
        m, v, n = m / (1 - b1**t), v / (1 - b2**t), n / (1 - b3**t)
        return (p - lr * (m + b2 * v) / (n.sqrt() + eps)) / (1 + lr * decay)
    return formula


def lamb(lr, b1, b2, eps, decay):
    # You et al. 2020, algorithm 2.
    def formula(p, g, state, t):
        m, v = (state.get(k, torch.zeros_like(p)) for k in "mv")
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        state.update(m=m, v=v)
        r = (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps) + decay * p
        return p - lr * p.norm() / r.norm() * r
    return formula


# PyTorch's iteration, at full precision: the only change to its text is the type.
import torch.optim._muon as muon
text = inspect.getsource(muon._zeropower_via_newtonschulz)
assert "dtype=torch.bfloat16" in text
exec(text.replace("dtype=torch.bfloat16", "dtype=torch.float64"), muon.__dict__)

O = torch.optim
W = dict(lr=0.05, weight_decay=0.1)


def muon_and_adamw(adjust, factor, **options):
    return lambda p: [O.Muon(p[:1], adjust_lr_fn=adjust, weight_decay=0.1, **options),
                      O.AdamW(p[1:], lr=options["lr"] * factor, weight_decay=0.1 / factor)]


print(json.dumps({
    "torch": torch.__version__,
    "sgd": run(lambda p: O.SGD(p, lr=0.02)),
    "momentum": run(lambda p: O.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.1)),
    "nesterov": run(lambda p: O.SGD(p, lr=0.02, momentum=0.9, nesterov=True)),
    "adam": run(lambda p: O.Adam(p, lr=0.05)),
    "adam_decay": run(lambda p: O.Adam(p, lr=0.05, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1)),
    "adamw": run(lambda p: O.AdamW(p, **W)),
    "adamw_clipped": run(lambda p: O.AdamW(p, **W), norm=0.5),
    "sgd_clipped_value": run(lambda p: O.SGD(p, lr=0.02), norm=0.5, value=0.3),
    "adamw_schedule": run(lambda p: O.AdamW(p, **W), schedule=lambda t: 0.05 / (t + 1)),
    "adamw_groups": run(lambda p: O.AdamW([{"params": p[:1]}, {"params": p[1:], "lr": 0.005, "weight_decay": 0.5}], **W)),
    "adam_groups_decay": run(lambda p: O.Adam([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0.0}], **W)),
    "adamw_frozen": run(lambda p: O.AdamW(p[1:], **W)),
    "adagrad": run(lambda p: O.Adagrad(p, lr=0.1)),
    "adagrad_decay": run(lambda p: O.Adagrad(p, lr=0.1, initial_accumulator_value=0.1, weight_decay=0.1, eps=1e-3)),
    "rmsprop": run(lambda p: O.RMSprop(p, lr=0.02)),
    "rmsprop_centered": run(lambda p: O.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-2, momentum=0.5, centered=True, weight_decay=0.1)),
    "lion": run(lambda p: Formula(p, lion(0.01, 0.9, 0.99, 0.1))),
    "adan": run(lambda p: Formula(p, adan(0.05, 0.98, 0.92, 0.99, 1e-8, 0.1))),
    "lamb": run(lambda p: Formula(p, lamb(0.02, 0.9, 0.999, 1e-6, 0.1))),
    "muon": run(muon_and_adamw("match_rms_adamw", 1.0, lr=0.02)),
    "muon_original": run(muon_and_adamw("original", 0.5, lr=0.02, nesterov=False, momentum=0.8)),
}, indent=1))
