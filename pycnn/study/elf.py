"""The little of the ELF format that the study of kernels reads: sections, names of functions."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_NO_CONTENT = 8  # SHT_NOBITS: memory that the file does not hold
_FUNCTION = 2  # STT_FUNC


def sections(elf: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the sections of a 64-bit ELF file that hold data."""
    if elf[:5] != b"\x7fELF\x02":
        raise ValueError(f"a 64-bit ELF file was expected, this one begins with {elf[:5]!r}")
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    each, count, names = struct.unpack_from("<3H", elf, 0x3A)
    headers = [struct.unpack_from("<2I4Q", elf, table + i * each) for i in range(count)]
    start = headers[names][4]
    for name, kind, _, _, offset, size in headers:
        end = elf.index(b"\0", start + name)
        if kind != _NO_CONTENT:
            yield elf[start + name : end].decode(), elf[offset : offset + size]


def functions(elf: bytes) -> dict[int, str]:
    """The functions that an ELF file defines, by address: empty if its symbols were stripped."""
    found = dict(sections(elf))
    texts = found.get(".strtab", b"")
    named = {}
    for name, info, _, _, address, _ in struct.iter_unpack("<IBBHQQ", found.get(".symtab", b"")):
        if info & 15 == _FUNCTION and address:
            named[address] = texts[name : texts.index(b"\0", name)].decode()
    return named
