"""Writes ops.safetensors, layers.safetensors and losses.safetensors: what PyTorch computes, in float64.

    python3 core/tests/goldens/make.py

One row is one line: a name, inputs, and a function of them. A row stores its inputs `in0..` (rounded to float32 first, so that
every device gets the same numbers), its results `out0..` and, for float results, the gradients of sum(dy_i * out_i) as
`grad/in0..` and `grad/<parameter>`, with `dy0..` fixed. Parameters of layers stand under PyTorch's names in `weight/`.
The rows of ../goldens/table.rs have the same names.
"""

import math
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
GENERATOR = torch.Generator().manual_seed(20240229)
FILES = {"ops": {}, "layers": {}, "losses": {}}


def r(*shape, low=-2.0, high=2.0):
    """Uniform floats that float32 holds exactly."""
    return (torch.rand(shape, generator=GENERATOR) * (high - low) + low).float().double()


def pos(*shape):
    return r(*shape, low=0.2, high=3.0)


def unit(*shape):
    return r(*shape, low=-0.9, high=0.9)


def far(*shape):
    """Distinct values, at least 0.05 apart and away from integers and halves: no ties, no kinks."""
    n = math.prod(shape)
    return ((torch.randperm(n, generator=GENERATOR) - n // 2) * 0.1 + 0.03).reshape(shape).float().double()


def ints(high, *shape, low=0):
    return torch.randint(low, high, shape, generator=GENERATOR, dtype=torch.int32)


def bools(*shape):
    return torch.rand(shape, generator=GENERATOR) < 0.5


def store(file, key, value):
    value = value.detach()
    if value.dtype == torch.int64:
        value = value.to(torch.int32)
    FILES[file][key] = value.contiguous().clone()


def case(file, name, inputs, function, parameters=(), weights=None):
    inputs = [x.float().double().requires_grad_() if x.is_floating_point() else x for x in inputs]
    assert not any(k.startswith(name + "/") for k in FILES[file]), name
    for i, x in enumerate(inputs):
        x32 = x.detach().float() if x.is_floating_point() else x
        store(file, f"{name}/in{i}", x32)
    for key, value in (weights or {}).items():
        store(file, f"{name}/weight/{key}", value.float())
    outputs = function(*inputs)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    total = torch.zeros(())
    for i, y in enumerate(outputs):
        store(file, f"{name}/out{i}", y)
        if y.is_floating_point() and y.requires_grad:
            dy = r(*y.shape, low=0.3, high=1.5) if y.dim() else torch.tensor(1.0)
            store(file, f"{name}/dy{i}", dy.float())
            total = total + (dy * y).sum()
    if not total.requires_grad:
        return
    wanted = [(f"in{i}", x) for i, x in enumerate(inputs) if x.requires_grad] + list(parameters)
    gradients = torch.autograd.grad(total, [x for _, x in wanted], allow_unused=True)
    for (key, _), gradient in zip(wanted, gradients):
        if gradient is not None:
            store(file, f"{name}/grad/{key}", gradient)


def op(name, function, *inputs):
    case("ops", name, inputs, function)


def loss(name, function, *inputs):
    case("losses", name, inputs, function)


def layer(name, module, *inputs, call=None, train=False):
    """`call(module, *inputs)`; all parameters get values that float32 holds, and buffers too."""
    module = module.double()
    module.train(train)
    with torch.no_grad():
        for key, value in list(module.named_parameters()) + list(module.named_buffers()):
            if value.is_floating_point():
                fresh = pos(*value.shape) if "running_var" in key else r(*value.shape, low=-0.8, high=0.8)
                if getattr(module, "padding_idx", None) is not None:
                    fresh[module.padding_idx] = 0
                value.copy_(fresh)
    weights = {k: v.detach().clone() for k, v in module.state_dict().items() if v.is_floating_point()}
    call = call or (lambda m, *x: m(*x))
    case("layers", name, inputs, lambda *x: call(module, *x), list(module.named_parameters()), weights)
    if train:
        for key, value in module.named_buffers():
            if value.is_floating_point():
                store("layers", f"{name}/after/{key}", value)


# ---- operations: elementwise
op("add_broadcast", lambda x, y: x + y, r(3, 1, 4), r(2, 1))
op("sub_scalar_left", lambda x: 1.5 - x, r(5))
op("mul", lambda x, y: x * y, r(3, 4), r(4))
op("div", lambda x, y: x / y, r(3, 4), pos(3, 1))
op("rem", lambda x, y: torch.fmod(x, y), far(3, 4), pos(4) + 3)
op("neg", lambda x: -x, r(4))
op("exp", torch.exp, r(4))
op("exp2", torch.exp2, r(4))
op("exp_m1", torch.expm1, r(4))
op("ln", torch.log, pos(4))
op("ln_1p", torch.log1p, pos(4))
op("log2", torch.log2, pos(4))
op("log10", torch.log10, pos(4))
op("sqrt", torch.sqrt, pos(4))
op("rsqrt", torch.rsqrt, pos(4))
op("sin", torch.sin, r(4))
op("cos", torch.cos, r(4))
op("tan", torch.tan, unit(4))
op("asin", torch.asin, unit(4))
op("acos", torch.acos, unit(4))
op("atan", torch.atan, r(4))
op("atan2", torch.atan2, r(6), r(6))
op("sinh", torch.sinh, r(4))
op("cosh", torch.cosh, r(4))
op("tanh", torch.tanh, r(4))
op("asinh", torch.asinh, r(4))
op("acosh", torch.acosh, pos(4) + 1)
op("atanh", torch.atanh, unit(4))
op("erf", torch.erf, r(6))
op("abs", torch.abs, r(5))
op("abs_at_zero", torch.abs, torch.tensor([-1.0, 0.0, 2.0]))
op("sign", torch.sign, torch.tensor([-1.5, 0.0, 2.0]))
op("floor", torch.floor, far(6))
op("ceil", torch.ceil, far(6))
op("round_half_even", torch.round, torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3]))
op("trunc", torch.trunc, far(6))
op("recip", torch.reciprocal, pos(4))
op("square", torch.square, r(4))
op("powf", lambda x: x.pow(2.5), pos(4))
op("powi_3", lambda x: x.pow(3), r(4))
op("pow_tensor", lambda x, y: x.pow(y), pos(3, 4), r(4))
op("clamp", lambda x: x.clamp(-1.0, 0.5), far(30))
op("clamp_at_edges", lambda x: x.clamp(-1.0, 1.0), torch.tensor([-1.0, 1.0, 0.0, 3.0]))
op("maximum", torch.maximum, far(3, 4), far(3, 4))
op("maximum_tie", torch.maximum, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
op("minimum", torch.minimum, far(3, 4), far(3, 4))
op("hypot", torch.hypot, r(4), r(4))
op("fract", lambda x: x.frac(), far(6))
op("rem_euclid", lambda x: torch.remainder(x, 1.7), far(6))
op("copysign", lambda x, y: torch.copysign(x, y.detach()), far(4), far(4))
op("trace", lambda x: x.trace(), r(3, 3))
op("comparisons", lambda x, y: [x < y, x <= y, x == y, x >= y, x > y, x != y], r(4), torch.tensor([0.0, 9.0, -9.0, 0.5]))
# ---- activations
op("hardtanh", lambda x: F.hardtanh(x, -0.5, 0.7), far(10))
op("relu", torch.relu, far(10))
op("relu_at_zero", torch.relu, torch.tensor([-1.0, 0.0, 2.0]))
op("relu6", F.relu6, r(10, low=-8, high=8))
op("leaky_relu", lambda x: F.leaky_relu(x, 0.2), far(10))
op("elu", lambda x: F.elu(x, 1.3), far(10))
op("selu", F.selu, far(10))
op("sigmoid", torch.sigmoid, r(6, low=-30, high=30))
op("log_sigmoid", F.logsigmoid, r(6, low=-30, high=30))
op("softplus", F.softplus, r(6, low=-15, high=15))
op("silu", F.silu, r(6))
op("mish", F.mish, r(6))
op("gelu", F.gelu, r(6))
op("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), r(6))
op("softmax_last", lambda x: x.softmax(-1), r(3, 5))
op("softmax_first", lambda x: x.softmax(0), r(3, 5))
op("softmax_large", lambda x: x.softmax(1), r(2, 4, low=-300, high=300))
op("log_softmax", lambda x: x.log_softmax(-1), r(3, 5))
# ---- reductions
op("sum_axis", lambda x: x.sum(1), r(2, 3, 4))
op("sum_all", lambda x: x.sum(), r(2, 3))
op("mean_keep", lambda x: x.mean((0, 2), keepdim=True), r(2, 3, 4))
op("var_unbiased", lambda x: x.var(1), r(3, 5))
op("var_biased", lambda x: x.var((0, 1), correction=0), r(3, 5))
op("std", lambda x: x.std(-1), r(3, 5))
op("prod", lambda x: x.prod(1), r(3, 4))
op("prod_with_zero", lambda x: x.prod(1), torch.tensor([[2.0, 0.0, 3.0], [1.0, 4.0, 5.0]]))
op("max_axis", lambda x: x.amax(1), far(3, 5))
op("max_ties", lambda x: x.max(0).values, torch.tensor([1.0, 3.0, 3.0, 2.0]))
op("max_ties_two_axes", lambda x: x.amax((0, 1)), torch.tensor([[1.0, 3.0], [3.0, 2.0]]))
op("min_axis", lambda x: x.amin(0), far(3, 5))
op("argmax", lambda x: x.argmax(1), far(3, 5))
op("argmin", lambda x: x.argmin(0), far(3, 5))
op("logsumexp", lambda x: x.logsumexp(1), r(3, 5))
op("norm", lambda x: x.norm(dim=1), r(3, 5))
op("cumsum", lambda x: x.cumsum(1), r(3, 5))
op("median", lambda x: x.median(1).values, far(3, 5))
# ---- movement
op("reshape", lambda x: x.reshape(4, -1), r(2, 6))
op("permute", lambda x: x.permute(2, 0, 1), r(2, 3, 4))
op("expand_reduce", lambda x: x.expand(3, 4) * torch.arange(12.0).reshape(3, 4), r(3, 1))
op("flip", lambda x: x.flip((0, 2)), r(2, 3, 4))
op("cat", lambda x, y: torch.cat([x, y], 1), r(2, 3), r(2, 2))
op("stack", lambda x, y: torch.stack([x, y], 1), r(2, 3), r(2, 3))
op("slice", lambda x: x[:, 1:3], r(3, 5))
op("tril", lambda x: x.tril(-1), r(4, 4))
op("triu", lambda x: x.triu(1), r(3, 4))
op("roll", lambda x: x.roll(2, 1), r(2, 5))
op("pad", lambda x: F.pad(x, (1, 2, 0, 1), value=0.5), r(2, 3))
op("repeat", lambda x: x.repeat(2, 3), r(2, 2))
op("repeat_interleave", lambda x: x.repeat_interleave(3, 1), r(2, 2))
op("diagonal", lambda x: torch.diagonal(x), r(3, 4))
op("unfold", lambda x: x.unfold(1, 3, 2), r(2, 9))
# ---- indexing
op("gather", lambda x, i: x.gather(1, i.long()), r(3, 5), ints(5, 3, 4))
op("index_select", lambda x, i: x.index_select(0, i.long()), r(4, 3), torch.tensor([2, 0, 2], dtype=torch.int32))
op("embedding", lambda w, i: F.embedding(i.long(), w), r(5, 3), ints(5, 2, 4))
op("scatter_sum", lambda x, i: torch.zeros(3, 6).scatter_add(1, i.long(), x), r(3, 5), ints(6, 3, 5))
op("one_hot", lambda i: F.one_hot(i.long(), 4), ints(4, 2, 3))
op("sort", lambda x: torch.sort(x, 1), far(3, 5))
op("topk", lambda x: torch.topk(x, 2, 1), far(3, 5))
op("where", lambda c, x, y: torch.where(c, x, y), bools(3, 4), r(3, 4), r(4))
op("masked_fill", lambda x, m: x.masked_fill(m, -3.0), r(3, 4), bools(3, 4))
# ---- products
op("matmul", torch.matmul, r(3, 4), r(4, 5))
op("matmul_batched", torch.matmul, r(2, 1, 3, 4), r(3, 4, 2))
op("matmul_vector", torch.matmul, r(3, 4), r(4))
op("outer", torch.outer, r(3), r(4))
op("conv1d", lambda x, w: F.conv1d(x, w, stride=2, padding=1), r(2, 3, 9), r(4, 3, 3))
op("conv2d", F.conv2d, r(2, 3, 6, 5), r(4, 3, 3, 2))
op(
    "conv2d_strided_dilated_groups",
    lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(2, 1), dilation=(2, 1), groups=2),
    r(2, 4, 7, 6),
    r(6, 2, 3, 3),
)
op("conv3d", lambda x, w: F.conv3d(x, w, padding=1), r(1, 2, 4, 3, 5), r(2, 2, 3, 3, 3))
op("conv_transpose1d", lambda x, w: F.conv_transpose1d(x, w, stride=2, padding=1), r(2, 3, 5), r(3, 2, 4))
op(
    "conv_transpose2d",
    lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=2),
    r(2, 4, 3, 4),
    r(4, 3, 3, 3),
)
op("max_pool2d", lambda x: F.max_pool2d(x, 2), far(2, 2, 4, 6))
op("max_pool2d_padded", lambda x: F.max_pool2d(x, 3, stride=2, padding=1), far(1, 2, 5, 6))
op("max_pool1d_ceil", lambda x: F.max_pool1d(x, 2, stride=2, ceil_mode=True), far(2, 2, 5))
op("avg_pool2d", lambda x: F.avg_pool2d(x, 2), r(2, 2, 4, 6))
op("avg_pool2d_padded", lambda x: F.avg_pool2d(x, 3, stride=2, padding=1), r(1, 2, 5, 6))
op("avg_pool2d_exclude_pad", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), r(1, 2, 5, 6))
op("adaptive_avg_pool1d", lambda x: F.adaptive_avg_pool1d(x, 3), r(2, 2, 7))
op("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (2, 3)), r(1, 2, 4, 7))

op("einsum", lambda x, y: torch.einsum("bik,bjk->bij", x, y), r(2, 3, 4), r(2, 5, 4))
op("sdpa", F.scaled_dot_product_attention, r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 3))
op("sdpa_causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), r(2, 4, 3), r(2, 4, 3), r(2, 4, 2))
op(
    "sdpa_mask",
    lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m),
    r(1, 2, 4, 3),
    r(1, 2, 4, 3),
    r(1, 2, 4, 3),
    torch.eye(4).bool() | torch.eye(4).bool().flip(0),
)
op("interpolate_nearest", lambda x: F.interpolate(x, (5, 4)), r(1, 2, 3, 2))
op("interpolate_bilinear", lambda x: F.interpolate(x, (5, 3), mode="bilinear"), r(1, 2, 3, 4))
op("interpolate_corners", lambda x: F.interpolate(x, (5, 7), mode="bilinear", align_corners=True), r(1, 2, 3, 4))

# ---- layers
layer("linear", nn.Linear(4, 3), r(5, 4))
layer("linear_without_bias", nn.Linear(4, 3, bias=False), r(2, 3, 4))
layer("conv1d", nn.Conv1d(3, 4, 3, stride=2, padding=1), r(2, 3, 8))
layer("conv2d", nn.Conv2d(3, 4, 3), r(2, 3, 6, 5))
layer("conv2d_groups", nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), r(2, 4, 6, 5))
layer("conv2d_same", nn.Conv2d(2, 2, 4, padding="same", dilation=2), r(1, 2, 7, 8))
layer("conv3d", nn.Conv3d(2, 3, 2, bias=False), r(1, 2, 4, 3, 5))
layer("conv_transpose1d", nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1), r(2, 3, 5))
layer("conv_transpose2d", nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), r(2, 4, 3, 4))
layer("conv_transpose3d", nn.ConvTranspose3d(2, 2, 2, dilation=2), r(1, 2, 2, 3, 2))
layer("max_pool1d", nn.MaxPool1d(3, 2, 1), far(2, 2, 7))
layer("max_pool2d", nn.MaxPool2d(2), far(1, 2, 4, 6))
layer("max_pool3d", nn.MaxPool3d(2), far(1, 1, 4, 4, 2))
layer("avg_pool1d", nn.AvgPool1d(3, 2, 1), r(2, 2, 7))
layer("avg_pool2d", nn.AvgPool2d(2), r(1, 2, 4, 6))
layer("avg_pool3d", nn.AvgPool3d(2), r(1, 1, 4, 4, 2))
layer("adaptive_avg_pool2d", nn.AdaptiveAvgPool2d((1, 1)), r(2, 3, 4, 5))
layer("batch_norm1d_inference", nn.BatchNorm1d(3), r(4, 3))
layer("batch_norm2d_inference", nn.BatchNorm2d(3, eps=1e-3), r(2, 3, 4, 2))
layer("batch_norm1d_training", nn.BatchNorm1d(3), r(6, 3), train=True)
layer("batch_norm2d_training", nn.BatchNorm2d(3, momentum=0.3), r(2, 3, 4, 2), train=True)
layer("batch_norm3d_training", nn.BatchNorm3d(2, affine=False), r(2, 2, 2, 3, 2), train=True)
layer("layer_norm", nn.LayerNorm(5), r(2, 3, 5))
layer("layer_norm_two_axes", nn.LayerNorm((3, 4), eps=1e-3), r(2, 3, 4))
layer("layer_norm_without_parameters", nn.LayerNorm(5, elementwise_affine=False), r(3, 5))
layer("layer_norm_without_bias", nn.LayerNorm(5, bias=False), r(3, 5))
layer("group_norm", nn.GroupNorm(2, 6), r(2, 6, 3, 2))
layer("group_norm_instance", nn.GroupNorm(4, 4), r(2, 4, 5))
layer("rms_norm", nn.RMSNorm(5, eps=1e-6), r(3, 5))
layer("dropout_inference", nn.Dropout(0.5), r(3, 4))
layer("embedding", nn.Embedding(6, 3), ints(6, 2, 4))
layer("embedding_padding", nn.Embedding(6, 3, padding_idx=1), torch.tensor([[0, 1, 5], [1, 2, 5]], dtype=torch.int32))


def attend(**options):
    def call(m, *x):
        named = {k: (x[v] if isinstance(v, int) and not isinstance(v, bool) else v) for k, v in options.items()}
        q, k, v = (x[0], x[0], x[0]) if named.pop("self_attention", True) else x[:3]
        return m(q, k, v, average_attn_weights=False, **named)

    return call


CAUSAL = nn.Transformer.generate_square_subsequent_mask(4)
PADDING = torch.tensor([[False, False, False, True], [False, False, True, True]])
layer("attention", nn.MultiheadAttention(6, 2, batch_first=True), r(2, 4, 6), call=attend())
layer("attention_without_bias", nn.MultiheadAttention(6, 3, bias=False, batch_first=True), r(2, 4, 6), call=attend())
layer(
    "attention_causal",
    nn.MultiheadAttention(6, 2, batch_first=True),
    r(2, 4, 6),
    call=attend(attn_mask=CAUSAL, is_causal=True),
)
layer(
    "attention_key_padding",
    nn.MultiheadAttention(6, 2, batch_first=True),
    r(2, 4, 6),
    PADDING,
    call=attend(key_padding_mask=1),
)
layer("attention_bool_mask", nn.MultiheadAttention(6, 2, batch_first=True), r(2, 3, 6), torch.eye(3).bool(), call=attend(attn_mask=1))
layer("attention_float_mask", nn.MultiheadAttention(6, 2, batch_first=True), r(2, 3, 6), r(3, 3), call=attend(attn_mask=1))
layer(
    "attention_cross",
    nn.MultiheadAttention(6, 2, batch_first=True),
    r(2, 3, 6),
    r(2, 5, 6),
    r(2, 5, 6),
    call=attend(self_attention=False),
)


def encoder_layer(**options):
    return nn.TransformerEncoderLayer(6, 2, 10, batch_first=True, **options)


layer("transformer_layer", encoder_layer(), r(2, 4, 6))
layer("transformer_layer_norm_first", encoder_layer(norm_first=True, activation="gelu", layer_norm_eps=1e-3), r(2, 4, 6))
layer(
    "transformer_encoder",
    nn.TransformerEncoder(encoder_layer(norm_first=True), 2, norm=nn.LayerNorm(6), enable_nested_tensor=False),
    r(2, 4, 6),
    call=lambda m, x: m(x, mask=CAUSAL, is_causal=True),
)


def flat(y):
    """Nested results in a row."""
    return [y] if torch.is_tensor(y) else [t for part in y for t in flat(part)]


def recurrent(m, x, *state):
    if not state:
        return flat(m(x))
    return flat(m(x, state[0] if len(state) == 1 else tuple(state)))


layer("rnn", nn.RNN(3, 4, batch_first=True), r(2, 5, 3), call=recurrent)
layer("rnn_relu", nn.RNN(3, 4, nonlinearity="relu"), r(5, 2, 3), r(1, 2, 4), call=recurrent)
layer("gru", nn.GRU(3, 4, batch_first=True), r(2, 5, 3), call=recurrent)
layer("gru_two_layers_both_ways", nn.GRU(3, 4, 2, batch_first=True, bidirectional=True), r(2, 3, 3), r(4, 2, 4), call=recurrent)
layer("lstm", nn.LSTM(3, 4, batch_first=True), r(2, 5, 3), call=recurrent)
layer("lstm_state", nn.LSTM(3, 4, bias=False), r(5, 2, 3), r(1, 2, 4), r(1, 2, 4), call=recurrent)
layer("lstm_two_layers_both_ways", nn.LSTM(3, 2, 2, batch_first=True, bidirectional=True), r(2, 4, 3), call=recurrent)
layer("sequential", nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4)), r(3, 4))
layer("residual", nn.Linear(4, 4), r(3, 4), call=lambda m, x: x + m(x))
layer(
    "small_net",
    nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)),
    r(2, 1, 6, 6),
)

# ---- losses
LABELS = torch.tensor([1, 0, 3, 3, 2], dtype=torch.int32)
loss("cross_entropy", lambda x, y: F.cross_entropy(x, y.long()), r(5, 4), LABELS)
loss("cross_entropy_large", lambda x, y: F.cross_entropy(x, y.long()), r(5, 4, low=-300, high=300), LABELS)
loss("cross_entropy_sum", lambda x, y: F.cross_entropy(x, y.long(), reduction="sum"), r(5, 4), LABELS)
loss("cross_entropy_none", lambda x, y: F.cross_entropy(x, y.long(), reduction="none"), r(5, 4), LABELS)
loss("cross_entropy_smooth", lambda x, y: F.cross_entropy(x, y.long(), label_smoothing=0.2), r(5, 4), LABELS)
loss("cross_entropy_weights", lambda x, y, w: F.cross_entropy(x, y.long(), weight=w.detach()), r(5, 4), LABELS, pos(4))
loss(
    "cross_entropy_weights_smooth",
    lambda x, y, w: F.cross_entropy(x, y.long(), weight=w.detach(), label_smoothing=0.1),
    r(5, 4),
    LABELS,
    pos(4),
)
loss("cross_entropy_ignore", lambda x, y: F.cross_entropy(x, y.long(), ignore_index=3), r(5, 4), LABELS)
loss(
    "cross_entropy_ignore_negative_smooth",
    lambda x, y: F.cross_entropy(x, y.long(), ignore_index=-100, label_smoothing=0.1),
    r(3, 4),
    torch.tensor([1, -100, 2], dtype=torch.int32),
)
loss("cross_entropy_positions", lambda x, y: F.cross_entropy(x, y.long()), r(2, 4, 3), ints(4, 2, 3))
loss("cross_entropy_one", lambda x: F.cross_entropy(x, torch.tensor(2)), r(4))
loss("cross_entropy_probabilities", lambda x, p: F.cross_entropy(x, p.softmax(1)), r(5, 4), r(5, 4))
loss(
    "cross_entropy_probabilities_smooth_weights",
    lambda x, p, w: F.cross_entropy(x, p.softmax(1), weight=w.detach(), label_smoothing=0.1),
    r(5, 4),
    r(5, 4),
    pos(4),
)
loss("nll", lambda x, y: F.nll_loss(x, y.long()), r(5, 4), LABELS)
loss("mse", F.mse_loss, r(3, 4), r(3, 4))
loss("l1", F.l1_loss, r(3, 4), r(3, 4))
loss("huber", lambda x, y: F.huber_loss(x, y, delta=0.7), r(3, 4), r(3, 4))
loss("smooth_l1", lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), r(3, 4), r(3, 4))
loss("bce", F.binary_cross_entropy, r(3, 4, low=0.05, high=0.95), bools(3, 4).double())
loss("bce_logits", F.binary_cross_entropy_with_logits, r(3, 4, low=-30, high=30), r(3, 4, low=0, high=1))
loss(
    "bce_logits_weighted",
    lambda x, y, w: F.binary_cross_entropy_with_logits(x, y, pos_weight=w.detach()),
    r(3, 4),
    r(3, 4, low=0, high=1),
    pos(4),
)
loss("kl_div", lambda x, p: F.kl_div(x.log_softmax(1), p.softmax(1).detach(), reduction="batchmean"), r(3, 4), r(3, 4))
loss("kl_div_zero", lambda x: F.kl_div(x, torch.tensor([[0.0, 1.0]]), reduction="batchmean"), r(1, 2))
loss("cosine_similarity", lambda x, y: F.cosine_similarity(x, y, 1), r(3, 4), r(3, 4))
loss(
    "cosine_embedding",
    lambda x, y, s: F.cosine_embedding_loss(x, y, s, margin=0.1),
    r(4, 3),
    r(4, 3),
    torch.tensor([1, -1, -1, 1], dtype=torch.int32),
)
loss("triplet_margin", lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=1.5), r(3, 4), r(3, 4), r(3, 4))

for file, tensors in FILES.items():
    path = pathlib.Path(__file__).parent / f"{file}.safetensors"
    save_file(tensors, path)
    rows = len({key.split("/")[0] for key in tensors})
    print(f"{path.name}: {rows} rows, {path.stat().st_size} bytes")
