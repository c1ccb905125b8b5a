"""Gradients at ties, kinks and edges as PyTorch chooses them, for core/src/grad/ties.rs.

    python3 core/tests/goldens/ties.py > core/tests/goldens/ties.txt

One row per line: name | inputs | value | gradient of each input, for an incoming gradient of ones, in f64. Lists of
numbers are separated by spaces, inputs by semicolons.
"""

import torch

NAN, INF = float("nan"), float("inf")
PAIRS = ([1, 2, 2, 0, NAN, 1, INF, INF, -INF], [2, 1, 2, 0, 1, NAN, 1, INF, 3])
KINKS = [-2, -1, -0.5, 0, 0.5, 1, 2, 3, 6, 7, INF, -INF]
BASES = [0, 0, 0, 0, 0, 2, 2, -2, -2, -2, -2, 1, -1, 0, NAN, 2, INF]
POWERS = [0, 1, 2, 0.5, -1, 0, 3, 0, 2, 3, 0.5, 0, 1, 3, 2, NAN, 2]
EDGES = ([1, -1, 0, 5.5, -5.5, 5.5, INF, 1], [0, 0, 0, 2, 2, -2, 2, INF])
TIES = [1, 3, 3, 2, 3, 1]
PRODUCTS = [[1, 2, 3], [0, 2, 3], [0, 0, 3], [0, 0, 0], [-1, 0, 2]]

ROWS = [
    ("maximum", PAIRS, torch.maximum),
    ("minimum", PAIRS, torch.minimum),
    ("abs", [KINKS], torch.abs),
    ("sign", [KINKS], torch.sign),
    ("relu", [KINKS + [NAN]], torch.relu),
    ("relu6", [KINKS], torch.nn.functional.relu6),
    ("hardtanh", [KINKS], torch.nn.functional.hardtanh),
    ("leaky_relu", [KINKS], lambda x: torch.nn.functional.leaky_relu(x, 0.1)),
    ("elu", [KINKS], torch.nn.functional.elu),
    ("clamp", [KINKS], lambda x: x.clamp(-1, 2)),
    ("floor", [KINKS], torch.floor),
    ("ceil", [KINKS], torch.ceil),
    ("round", [KINKS], torch.round),
    ("trunc", [KINKS], torch.trunc),
    ("sqrt", [[0, 1, INF, NAN]], torch.sqrt),
    ("ln", [[0, 1, INF, NAN]], torch.log),
    ("recip", [[0, 1, INF, NAN]], torch.reciprocal),
    ("pow", [BASES, POWERS], torch.pow),
    ("powf 2", [[0, -1, 3, INF, NAN]], lambda x: x ** 2.0),
    ("powf 0", [[0, -1, 3]], lambda x: x ** 0.0),
    ("powf 0.5", [[0, 1, 4]], lambda x: x ** 0.5),
    ("div", EDGES, torch.div),
    ("rem", EDGES, torch.fmod),
    ("max of an axis", [TIES], lambda x: x.max(0).values),
    ("min of an axis", [TIES], lambda x: x.min(0).values),
    ("max of an axis with NaN", [[1, NAN, 3, NAN]], lambda x: x.max(0).values),
    ("max over two axes", [TIES], lambda x: x.reshape(2, 3).amax((0, 1))),
    ("min over two axes", [TIES], lambda x: x.reshape(2, 3).amin((0, 1))),
    ("norm", [[0, 0, 0]], lambda x: x.norm()),
    ("max_pool1d", [[1, 2, 2, 2, 0, 0]], lambda x: torch.nn.functional.max_pool1d(x[None, None], 3, 1)),
    ("sort", [[2, 1, 2, 1]], lambda x: x.sort(stable=True).values * torch.arange(1.0, 5.0, dtype=x.dtype)),
]
ROWS += [(f"prod {i}", [values], lambda x: x.prod()) for i, values in enumerate(PRODUCTS)]


def words(tensor):
    return " ".join(repr(value) for value in tensor.reshape(-1).tolist())


for name, inputs, function in ROWS:
    leaves = [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in inputs]
    result = function(*leaves)
    result.sum().backward()
    print(name, "; ".join(map(words, leaves)), words(result), "; ".join(words(leaf.grad) for leaf in leaves), sep=" | ")
