"""Which entries of op_db are run, what pycnn calls them, and what is left out for which reason.

An entry is `name` or `name.variant` as op_db has them; `nn.functional.` is written `F.`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import pycnn

NETWORK = """
F.conv1d F.conv2d F.conv_transpose1d F.conv_transpose2d F.linear F.unfold
F.max_pool1d F.max_pool2d F.max_unpool2d F.max_unpool2d.grad F.avg_pool1d F.avg_pool2d
F.adaptive_avg_pool1d F.adaptive_avg_pool2d F.adaptive_max_pool1d F.adaptive_max_pool2d
F.batch_norm F.instance_norm F.group_norm F.layer_norm F.local_response_norm
F.celu F.elu F.gelu F.glu F.hardsigmoid F.hardswish F.hardtanh F.leaky_relu F.logsigmoid F.mish
F.prelu F.relu F.relu6 F.selu F.silu F.softplus F.softsign F.softmin F.softmin.with_dtype
softmax softmax.with_dtype log_softmax log_softmax.with_dtype
F.dropout F.dropout2d
F.interpolate.area F.interpolate.bicubic F.interpolate.bilinear F.interpolate.linear
F.interpolate.nearest F.interpolate.nearest-exact
F.pixel_shuffle F.pixel_unshuffle F.channel_shuffle
F.pad.constant F.pad.reflect F.pad.replicate F.pad.replicate_negative F.pad.circular
F.binary_cross_entropy F.binary_cross_entropy_with_logits F.cross_entropy F.huber_loss F.kl_div
F.l1_loss F.mse_loss F.nll_loss F.smooth_l1_loss
F.normalize F.one_hot F.embedding F.cosine_similarity F.pairwise_distance
""".split()

TENSOR = """
add sub mul div.no_rounding_mode div.floor_rounding div.trunc_rounding pow neg abs exp log sqrt
rsqrt reciprocal sin cos tanh sigmoid erf sign clamp clamp_min clamp_max maximum minimum max.binary
min.binary where masked_fill square exp2 expm1 log1p log2 log10 floor ceil trunc round floor_divide
remainder true_divide rsub isnan isinf isfinite eq ne lt le gt ge logical_and logical_or logical_xor
logical_not bitwise_and bitwise_or bitwise_xor bitwise_not __radd__ __rmul__ __rsub__ __rpow__
__rdiv__ sum mean prod amax amin var var.unbiased std std.unbiased logsumexp argmax argmin
max.reduction_no_dim max.reduction_with_dim min.reduction_no_dim min.reduction_with_dim all any
count_nonzero topk sort argsort cumsum
reshape view flatten permute transpose t squeeze squeeze.multiple unsqueeze expand expand_as repeat
cat stack split split.list_args chunk unbind flip roll narrow movedim unflatten
broadcast_to view_as reshape_as gather index_select __getitem__ tril triu
matmul mm bmm addmm addmm.decomposed einsum mv dot
""".split()

OPS = (*NETWORK, *TENSOR)

# methods that write their result into the tensor
INPLACE = """
add_ sub_ mul_ div_ pow_ neg_ abs_ exp_ log_ sqrt_ rsqrt_ reciprocal_ sin_ cos_ tanh_ sigmoid_
clamp_ clamp_min_ clamp_max_ masked_fill_ square_ floor_ ceil_ round_
""".split()

Exclusion = tuple[str, Callable[[Any], bool], str]


def _has(name: str) -> Callable[[Any], bool]:
    return lambda sample: sample.kwargs.get(name) is not None


def _random(sample: Any) -> bool:
    p = sample.kwargs.get("p", 0.5)
    return sample.kwargs.get("training", True) and 0 < p < 1


# (entries, which samples, why)
EXCLUDED: tuple[Exclusion, ...] = (
    (
        "F.dropout F.dropout2d",
        _random,
        "two random number generators cannot agree; p = 0, p = 1 and evaluation do",
    ),
    ("*", _has("out"), "out= is not offered: results are new tensors"),
    (
        "F.embedding",
        lambda s: bool(s.kwargs.get("sparse")),
        "sparse gradients are refused in a sentence",
    ),
    (
        "F.interpolate.area F.interpolate.nearest F.interpolate.nearest-exact",
        lambda s: s.input.ndim == 5,
        "three spatial dimensions are not offered",
    ),
    (
        "F.batch_norm",
        lambda s: s.input.ndim < 2,
        "an input without channels, which torch lets through only when it is empty",
    ),
    (
        "gather",
        lambda s: s.args[1].dtype == torch.uint8,
        "torch lets an index of a wrong dtype through when it is empty",
    ),
    (
        "einsum",
        lambda s: len(s.input) == 1 and s.input[0].dtype in (torch.uint8, torch.bool),
        "torch's dtype for a sum of small integers depends on the path it takes",
    ),
    (
        "narrow",
        lambda s: isinstance(s.args[1], torch.Tensor) and s.args[1].dtype == torch.bool,
        "True is taken for 1, as everywhere in Python",
    ),
)

# entries whose gradients torch itself computes less exactly than float64, with what that costs
LOOSER = {
    "F.hardsigmoid": 1e-7,  # its slope 1/6 is a float32 constant in torch
}

# entries whose samples are not the arguments of the function of that name
RENAMED: dict[str, Callable[..., Any]] = {
    "F.embedding": lambda weight, input, **kw: pycnn.functional.embedding(input, weight, **kw),
    "where": lambda x, condition, other: pycnn.where(condition, x, other),
    "einsum": lambda operands, equation: pycnn.einsum(equation, *operands),
    "__rdiv__": lambda x, y: pycnn.Tensor.__rtruediv__(x, y),
}


def excluded(entry: str, sample: Any) -> str | None:
    """Why the sample is left out, or None."""
    for entries, applies, reason in EXCLUDED:
        if (entries == "*" or entry in entries.split()) and applies(sample):
            return reason
    return None


def takes_numbers(case: Any) -> bool:
    """Whether torch only refuses a plain number as an operand here: pycnn takes those."""
    operands = (case.sample_input.input, *case.sample_input.args)
    return case.error_type is Exception and any(isinstance(o, (int, float)) for o in operands)


def settled(entry: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """topk and sort with the elements their indices name instead of them: torch breaks ties by
    chance where it is not asked for a stable sort."""
    if entry == "argsort":

        def argsort(x: Any, *arguments: Any, **named: Any) -> Any:
            dim = named.get("dim", arguments[0] if arguments else -1)
            return x.gather(dim, function(x, *arguments, **named))

        return argsort
    if entry not in ("topk", "sort"):
        return function

    def picked(x: Any, *arguments: Any, **named: Any) -> Any:
        place = 1 if entry == "topk" else 0
        dim = named.get("dim", arguments[place] if len(arguments) > place else -1)
        values, indices = function(x, *arguments, **named)
        return values, x.gather(dim, indices)

    return picked


def opinfo_key(info: Any) -> str:
    """An OpInfo's name in this table."""
    name = info.name.replace("nn.functional.", "F.")
    return f"{name}.{info.variant_test_name}" if info.variant_test_name else name


def function_of(entry: str) -> Callable[..., Any]:
    """pycnn's function of that name: pycnn.functional's, pycnn's or Tensor's."""
    name = entry.removeprefix("F.").split(".")[0]
    if entry in RENAMED:
        return RENAMED[entry]
    if entry.startswith("F."):
        function = getattr(pycnn.functional, name, None)
    else:
        function = getattr(pycnn, name, None) or getattr(pycnn.Tensor, name, None)
    if function is None:
        raise AssertionError(f"pycnn has no {entry}")
    return function
