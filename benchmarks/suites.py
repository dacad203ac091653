"""What there is to measure: suites of problems, each named by a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..study import layers
from . import batch_norms, convolutions, joins, kernelbench, nets, pooling
from .problem import Key, Problem

PASSES = ("fprop", "dgrad", "wgrad", "forward", "backward")
WHAT = ("ops", "nets", "memory", "kernelbench")

# of the smoke suite: a few of each kind
_SMOKE = (
    "vgg.c3_2", "rn50.stem", "rn50.l1.e", "rn50.l2.3x3s2", "rn50.l3.3x3", "rnx50.l3.g32",
    "xcep.dw19", "xcep.pw19", "dn121.3x3", "unet.up28", "rn50.max3x3s2", "dn121.avg2x2",
    "rn50.global", "28x512", "19x728", "goog.3a", "rn50.l1.add", "xcep.add",
)  # fmt: skip
_SMOKE_KERNELBENCH = ("82.depthwise", "50", "87.pointwise")


def keys(
    what: str,
    suite: str = "full",
    passes: Sequence[str] = PASSES,
    batches: Sequence[int] = (),
    dtypes: Sequence[str] = ("float32",),
    only: Sequence[str] = (),
    gpu: bool = False,
) -> list[Key]:
    """The problems of "ops", "nets" or "kernelbench".

    Args:
        suite: "full", or "smoke": a few of each kind at one batch.
        batches: instead of the suite's own.
        only: parts of names; a problem is kept if its suite or its name holds one.
    """
    listed = {"ops": _ops, "nets": _nets, "kernelbench": _kernelbench}[what]
    found = list(listed(suite == "smoke", tuple(batches), gpu))
    return [
        key._replace(dtype=dtype)
        for dtype in dtypes
        for key in found
        if (key.direction in passes or key.direction == "step")
        and (not only or any(part in f"{key.suite} {key.name}" for part in only))
    ]


def _ops(smoke: bool, batches: tuple[int, ...], gpu: bool) -> Iterator[Key]:
    batches = batches or ((1,) if smoke else (1, 8, 32) if gpu else (1, 8))
    for name, conv in layers.CONVOLUTIONS.items():
        suite = "transposed convolution" if conv.transposed else "convolution"
        yield from _each(suite, name, convolutions.PASSES, batches, smoke)
    for name in layers.POOLS:
        yield from _each("pooling", name, ("forward", "backward"), batches, smoke)
    for suite in batch_norms.KINDS:
        for name in layers.BATCH_NORMS:
            yield from _each(suite, name, ("forward", "backward"), batches, smoke)
    for name in layers.CONCATS:
        yield from _each("concat", name, ("forward",), batches, smoke)
    for name in layers.ADDS:
        yield from _each("add + relu", name, ("forward",), batches, smoke)


def _each(
    suite: str, name: str, directions: Sequence[str], batches: Sequence[int], smoke: bool
) -> Iterator[Key]:
    if not smoke or name in _SMOKE:
        for batch in batches:
            for direction in directions:
                yield Key(suite, name, direction, batch)


def _nets(smoke: bool, batches: tuple[int, ...], gpu: bool) -> Iterator[Key]:
    for name in nets.FORWARD:
        for batch in batches or ((1, 8) if smoke else (1, 8, 32)):
            if not smoke or batch == 1 or name != "vgg16":
                yield Key("forward", name, "forward", batch)
    for name in nets.STEPS:
        if not smoke or name == "resnet18":
            for batch in batches or ((8,) if smoke else (8, 32)):
                yield Key("training step", name, "step", batch)


def _kernelbench(smoke: bool, batches: tuple[int, ...], gpu: bool) -> Iterator[Key]:
    for name in kernelbench.SHAPES:
        if not smoke or name in _SMOKE_KERNELBENCH:
            for batch in batches or ((kernelbench.BATCHES[name],) if gpu else (1,)):
                yield Key("KernelBench", name, "fprop", batch)


def make(key: Key) -> Problem:
    """The problem of a key.

    Raises:
        ValueError: no suite has it.
    """
    suite, name = key.suite, key.name
    try:
        if suite in ("convolution", "transposed convolution"):
            return convolutions.convolution(key, convolutions.shape_of(layers.CONVOLUTIONS[name]))
        if suite == "KernelBench":
            return convolutions.convolution(key, kernelbench.SHAPES[name])
        if suite == "pooling":
            return pooling.pooling(key, layers.POOLS[name])
        if suite in batch_norms.KINDS:
            return batch_norms.batch_norm(key, layers.BATCH_NORMS[name])
        if suite == "concat":
            return joins.concatenation(key, *layers.CONCATS[name])
        if suite == "add + relu":
            return joins.addition(key, layers.ADDS[name])
        if suite == "forward":
            return nets.inference(key)
        if suite == "training step":
            return nets.step(key)
    except KeyError:
        pass
    raise ValueError(f"key: got {key}, which no suite has")


# --- the problems of one kernel -------------------------------------------------------------------


def kernels() -> dict[str, set[tuple[str, str]]]:
    """{stem: {(primitive, algorithm)}}: what the files named by the stem register, whoever's they
    are, of the primitives that have problems here. A Triton kernel knows its stem; another's is its
    family and its algorithm."""
    from .. import dispatch

    found: dict[str, set[tuple[str, str]]] = {}
    for entry in dispatch.entries():
        family = _family(entry.primitive)
        if family not in _FAMILIES:
            continue
        stems = {family, f"{family}_{entry.algorithm}", getattr(entry.function, "stem", family)}
        for stem in stems:
            found.setdefault(stem, set()).add((entry.primitive, entry.algorithm))
    return found


_FAMILIES = ("conv2d", "max_pool2d", "avg_pool2d", "batch_norm", "concat", "add_activation")


def _family(primitive: str) -> str:
    for ending in ("_fprop", "_dgrad", "_wgrad", "_stats", "_apply", "_reduce"):
        primitive = primitive.removesuffix(ending)
    return primitive
