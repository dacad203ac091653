"""Cases of dropout; the mask comes from Philox written in Python's integers."""

from __future__ import annotations

import math

import numpy as np
import torch

from ....geometry import dropout_geometry
from ..case import Case


def _words(block: int, seed: int, offset: int) -> list[int]:
    """The four words of a block: Philox 4x32-10, Salmon et al. 2011, section 3.3."""
    mask = 2**32 - 1
    r = [block & mask, block >> 32, offset & mask, offset >> 32 & mask]
    key = [seed & mask, seed >> 32 & mask]
    for _ in range(10):
        even, odd = 0xD2511F53 * r[0], 0xCD9E8D57 * r[2]
        r = [odd >> 32 ^ r[1] ^ key[0], odd & mask, even >> 32 ^ r[3] ^ key[1], even & mask]
        key = [(key[0] + 0x9E3779B9) & mask, (key[1] + 0xBB67AE85) & mask]
    return r


def test_vectors() -> None:
    """The first two of Random123's known answers."""
    assert _words(0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 2**64 - 1
    assert _words(ones, ones, ones) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


test_vectors()


def _oracle(p, axes):
    def dropped(x, key):
        shape = x.shape[:axes]
        count = math.prod(shape)
        seed, offset = (int(k) for k in key)
        words = [w for block in range((count + 3) // 4) for w in _words(block, seed, offset)]
        kept = [w >= p * 2**32 for w in words[:count]]
        mask = torch.tensor(kept).reshape(*shape, *(1,) * (x.ndim - axes)).to(x.dtype)
        return x * mask * (1 / (1 - p))

    return dropped


def _case(name, shape, p, axes=None, seed=2**40 + 3, offset=0, **options):
    axes = len(shape) if axes is None else axes
    return Case(
        "dropout", name, dropout_geometry(p, axes),
        lambda draw: (draw(*shape), np.array([seed, offset], np.int64)), _oracle(p, axes),
        exact=p in (0.5, 0.75), **options,
    )  # fmt: skip


CASES = [
    _case("half of the elements", (2, 3, 5, 7), 0.5),
    _case("a tenth", (2, 3, 5, 7), 0.1, seed=-1, offset=-2),
    _case("three quarters in rows of four", (3, 5, 2, 8), 0.75, offset=2**33 + 1),
    _case("channels", (5, 6, 3, 7), 0.5, axes=2),
    _case("channels of vectors", (2, 8, 4, 8), 0.5, axes=2),
    _case("channels of a matrix", (5, 6), 0.5, axes=1),
    _case("more than a tile", (2, 1026), 0.5),
    _case("one element", (1,), 0.5),
    _case("no elements", (0, 3), 0.5),
    _case("no axes", (2, 3), 0.5, axes=0),
]
