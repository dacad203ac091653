"""How many bytes of global memory a kernel has asked for and not yet waited for, from its SASS.

A memory-bound kernel reaches the bandwidth only with bandwidth x latency bytes under way (Little's
law). What a thread has under way at most is read off the machine code, from top to bottom: a load
(LDG) counts from its place to the first instruction that touches what it loads, an asynchronous
copy (LDGSTS) until DEPBAR has waited for its group. A loop is passed through once, both sides of a
branch one after the other, and a masked load counts as if it were made: an estimate, from above
where masks are off. Copies by the tensor memory accelerator (UTMALDG) do not name their size and
are not counted.
"""

from __future__ import annotations

import re

_LINE = re.compile(r"/\*[0-9a-f]{4,6}\*/\s+(@!?U?P\w+\s+)?([A-Z][A-Za-z0-9_.]*)\s*([^;]*);")
_REGISTER = re.compile(r"\bR(\d+)\b(\.64)?")
_LEAVES = ("EXIT", "BRA", "RET", "BRX", "JMP")


def bytes_in_flight(sass: str) -> int:
    """Bytes a thread of the kernel has under way at most."""
    pending: list[tuple[set[int], int]] = []  # registers that a load fills, its bytes
    groups: list[int] = []  # bytes of the copies of each closed group, oldest first
    copies = most = 0  # those of the open group
    for predicate, opcode, operands in _LINE.findall(sass):
        name = opcode.partition(".")[0]
        touched = _touched(opcode, operands)
        pending = [(registers, size) for registers, size in pending if not registers & touched]
        if name == "LDG":
            first = _REGISTER.match(operands.strip())
            if first is not None:
                size = _width(opcode)
                registers = set(range(int(first[1]), int(first[1]) + -(-size // 4)))
                pending.append((registers, size))
        elif name == "LDGSTS":
            copies += _width(opcode)
        elif name == "LDGDEPBAR":
            groups.append(copies)
            copies = 0
        elif opcode == "DEPBAR.LE" and groups:
            kept = re.search(r"SB0, 0x([0-9a-f]+)", operands)
            if kept is not None:
                groups = groups[max(0, len(groups) - int(kept[1], 16)) :]
        elif name in _LEAVES and not predicate:
            pending = []  # what follows is reached from elsewhere
        most = max(most, sum(size for _, size in pending) + sum(groups) + copies)
    return most


def _width(opcode: str) -> int:
    """Bytes of a thread's access."""
    parts = opcode.split(".")
    for word, size in (("128", 16), ("64", 8), ("U16", 2), ("S16", 2), ("U8", 1), ("S8", 1)):
        if word in parts:
            return size
    return 4


def _touched(opcode: str, operands: str) -> set[int]:
    """The registers an instruction names, and those it takes along with them."""
    name = opcode.partition(".")[0]
    count = 1
    if name in ("LDG", "LDS", "LDL", "STG", "STS", "STL"):
        count = -(-_width(opcode) // 4)
    elif name in ("HMMA", "IMMA", "DMMA", "HGMMA"):
        count = 4
    elif name in ("DFMA", "DADD", "DMUL"):
        count = 2
    found: set[int] = set()
    for part in re.split(r"(\[[^\]]*\])", operands):
        for first, wide in _REGISTER.findall(part):
            taken = 2 if wide else 1 if part.startswith("[") else count
            found.update(range(int(first), int(first) + taken))
    return found
