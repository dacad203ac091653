"""Bytes in flight, counted by hand on short listings."""

from __future__ import annotations

from pycnn.study.in_flight import bytes_in_flight


def listing(*lines):
    return "\n".join(
        f"        /*{16 * i:04x}*/   {line} ;   /* 0x0 */" for i, line in enumerate(lines)
    )


def test_loads_count_until_they_are_used():
    assert bytes_in_flight(listing("MOV R1, c[0x0][0x28]", "EXIT")) == 0
    together = listing(
        "LDG.E.128 R4, desc[UR4][R2.64]",
        "@!P0 LDG.E.64 R8, desc[UR4][R2.64+0x10]",
        "LDG.E.U16.CONSTANT R10, desc[UR4][R2.64]",
        "FADD R12, R4, R8",
    )
    assert bytes_in_flight(together) == 16 + 8 + 2
    in_turn = listing(
        "LDG.E R4, desc[UR4][R2.64]",
        "FADD R12, R4, R4",
        "LDG.E.U8 R4, desc[UR4][R2.64]",
        "FADD R12, R12, R4",
    )
    assert bytes_in_flight(in_turn) == 4


def test_a_wide_operand_takes_its_neighbours_along():
    stored = listing(
        "LDG.E.64 R4, desc[UR4][R2.64]",
        "LDG.E.64 R6, desc[UR4][R2.64+0x8]",
        "STS.128 [R20], R4",
        "LDG.E.64 R8, desc[UR4][R2.64+0x10]",
    )
    assert bytes_in_flight(stored) == 16
    upper_half = listing(
        "LDG.E.128 R4, desc[UR4][R2.64]",
        "FADD R12, R7, R7",
        "LDG.E.128 R12, desc[UR4][R2.64]",
    )
    assert bytes_in_flight(upper_half) == 16
    # an address of 64 bits waits for its upper half too
    pointer = listing(
        "LDG.E R5, desc[UR4][R2.64]",
        "LDG.E.128 R8, desc[UR4][R4.64]",
    )
    assert bytes_in_flight(pointer) == 16


def test_copies_count_until_their_group_is_waited_for():
    copy, close = "LDGSTS.E.BYPASS.128 [R11], desc[UR20][R14.64], P5", "LDGDEPBAR"
    pipeline = [copy, copy, close, copy, copy, close, copy, copy, close]
    assert bytes_in_flight(listing(*pipeline)) == 96
    # the wait for all but one group leaves 32 bytes, to which a fourth group comes
    assert bytes_in_flight(listing(*pipeline, "DEPBAR.LE SB0, 0x1", copy, copy, close)) == 96
    assert bytes_in_flight(listing(*pipeline, "DEPBAR.LE SB0, 0x3", copy)) == 112
    assert bytes_in_flight(listing(copy, close, "DEPBAR.LE SB0, 0x0", copy, close)) == 16


def test_what_follows_a_jump_is_another_path():
    paths = listing(
        "LDG.E.128 R4, desc[UR4][R2.64]",
        "BRA 0x50",
        "LDG.E.128 R8, desc[UR4][R2.64]",
    )
    assert bytes_in_flight(paths) == 16
    falls_through = listing(
        "LDG.E.128 R4, desc[UR4][R2.64]",
        "@P0 BRA 0x50",
        "LDG.E.128 R8, desc[UR4][R2.64]",
    )
    assert bytes_in_flight(falls_through) == 32
