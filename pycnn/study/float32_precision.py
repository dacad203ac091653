"""What pycnn.set_float32_precision costs in accuracy: each way to multiply float32, in NumPy.

Tensor cores multiply numbers of few bits and add in float32. A float32 has 24 bits, and is a sum of
shorter numbers, each the rounded rest of the one before:

    x = x1 + x2 + x3,   x1 = round(x),   x2 = round(x - x1),   x3 = round(x - x1 - x2)

so that a product becomes several, of which the smallest are left out. With numbers of 11 bits
(tf32) two of them hold 22 bits; with numbers of 8 bits (bfloat16) three hold all 24.
"""

from __future__ import annotations

import numpy as np

# name -> (bits of a piece, or None: the float32 itself; the products of pieces that are summed,
# smallest first)
PRECISIONS: dict[str, tuple[int | None, tuple[tuple[int, int], ...]]] = {
    "ieee": (None, ((0, 0),)),
    "tf32": (11, ((0, 0),)),
    "tf32x3": (11, ((1, 0), (0, 1), (0, 0))),
    "bf16x3": (8, ((1, 0), (0, 1), (0, 0))),
    "bf16x6": (8, ((2, 0), (0, 2), (1, 1), (1, 0), (0, 1), (0, 0))),
}


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """float32 numbers rounded to `bits` significant bits, ties to even."""
    dropped = 24 - bits
    pattern = x.astype(np.float32).view(np.uint32)
    half = np.uint32((1 << (dropped - 1)) - 1)
    even = (pattern >> np.uint32(dropped)) & np.uint32(1)
    kept = (pattern + half + even) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return np.where(np.isfinite(x), kept.view(np.float32), x)


def pieces(x: np.ndarray, bits: int | None, count: int) -> list[np.ndarray]:
    """`count` numbers of `bits` bits that add up to x, or to nearly that."""
    if bits is None:
        return [x.astype(np.float32)]
    parts = []
    rest = x.astype(np.float32)
    for _ in range(count):
        parts.append(rounded(rest, bits))
        rest = rest - parts[-1]
    return parts


def product(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    """a (M,K) times b (K,N) as a kernel multiplies them under `precision`, summed in float32."""
    bits, terms = PRECISIONS[precision]
    count = 1 + max(max(term) for term in terms)
    left, right = pieces(a, bits, count), pieces(b, bits, count)
    out = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for i, j in terms:
        out += left[i] @ right[j]
    return out


def error(precision: str, depth: int = 576, size: int = 64, seed: int = 0) -> float:
    """The relative error, in the Frobenius norm, of a product of Gaussian matrices."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((size, depth)).astype(np.float32)
    b = rng.standard_normal((depth, size)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    return float(np.linalg.norm(product(a, b, precision) - exact) / np.linalg.norm(exact))


if __name__ == "__main__":
    for name in PRECISIONS:
        print(f"{name:8} {error(name):.1e}")
