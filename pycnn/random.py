"""Random numbers: one generator for the process, seeded by `manual_seed`.

Philox is counter-based: its stream depends on the seed alone, not on how many numbers a call draws
at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import array, dispatch
from .array import Array
from .tensor import Tensor, tensor_method

_generator: np.random.Generator | None = None
_seed = 0


def manual_seed(seed: int) -> np.random.Generator:
    """Restart the generator from `seed`; TypeError unless it is an int. Returns the generator."""
    global _generator, _seed
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"seed: got {seed!r}, expected an int")
    _seed = int(seed)
    _generator = np.random.Generator(np.random.Philox(_seed % 2**64))
    return _generator


def initial_seed() -> int:
    """The seed the generator last started from."""
    generator()
    return _seed


def seed() -> int:
    """Restart the generator from fresh entropy and return the seed used."""
    manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))
    return _seed


def generator() -> np.random.Generator:
    """The process's generator; unseeded it starts from fresh entropy."""
    if _generator is None:
        seed()
    assert _generator is not None
    return _generator


def get_rng_state() -> dict[str, Any]:
    """The generator's state, for `set_rng_state`."""
    return dict(generator().bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Continue from a state that `get_rng_state` returned."""
    generator().bit_generator.state = state


def uniform(
    shape: tuple[int, ...], low: float, high: float, dtype: np.dtype, device: str = "cpu"
) -> Array:
    """An array of `dtype`, uniform in [low, high)."""
    draws = dispatch.run_array("random", generator().random, shape)
    values = (draws * (high - low) + low).astype(dtype)
    if high > low:
        # rounding to a short dtype may reach `high`, which the interval excludes
        values[values >= dtype.type(high)] = dtype.type(low)
    return array.to_device(values, device)


def normal(
    shape: tuple[int, ...], mean: float, std: float, dtype: np.dtype, device: str = "cpu"
) -> Array:
    """An array of `dtype`, Gaussian."""
    draws = dispatch.run_array("random", generator().standard_normal, shape)
    return array.to_device((draws * std + mean).astype(dtype), device)


def _fill(t: Tensor, values: Array) -> Tensor:
    t.check_inplace()
    t._data[...] = values
    t.edited(None)
    return t


@tensor_method
def uniform_(input: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with draws uniform in [a, b); RuntimeError unless a <= b."""
    if not a <= b:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}"
        )
    return _fill(input, uniform(input.shape, float(a), float(b), input.dtype, input.device))


@tensor_method
def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with Gaussian draws; RuntimeError unless std >= 0."""
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _fill(input, normal(input.shape, float(mean), float(std), input.dtype, input.device))


@tensor_method
def bernoulli_(input: Tensor, p: float = 0.5) -> Tensor:
    """Fill with ones of probability p and zeros; RuntimeError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    draws = dispatch.run_array("random", generator().random, input.shape)
    return _fill(input, array.to_device((draws < p).astype(input.dtype), input.device))
