"""SRAM of a small program, counted by hand."""

from dataclasses import replace

from wse_emu.fabric import Region
from wse_emu.hardware import load_wafer
from wse_emu.kernels.gemv import gemv
from wse_emu.program import Builder, Call, Layout, Program, memory
from wse_emu.program.memory import bytes_map, peak_activation_bytes

SPEC = replace(load_wafer("mini"), runtime_bytes=100)


def program() -> Program:
    b = Builder("g", 4, 3, reduce="chain")
    x = b.input("x", (10,), Layout(("y",)))  # block 3
    w = b.weight("w", (7, 10), Layout(("x", "y")))  # block 3 × 3
    cache = b.state("cache", (8, 10), Layout(("y", None)))  # block 2 × 10
    body = b.build(gemv(b, w, x))
    assert cache.block == (2, 10)
    region = Region(2, 1, 3, 4)
    return Program("p", (Call(body, region, ("x",), ("y",), "a."), Call(body, region, ("x",), ("y",), "b.")))


def test_bytes_are_counted_by_cause() -> None:
    result = memory(program(), SPEC)
    (parts,) = result.by_region.values()
    assert parts["weights"] == 2 * 9 * 4  # two calls, each with weights of its own
    assert parts["kv_cache"] == 2 * 20 * 4
    assert parts["activations"] == (3 + 3) * 4  # input and product, then product and sum
    assert parts["runtime"] == 100
    assert result.max_pe_bytes == sum(parts.values())
    assert result.used_bytes == 12 * result.max_pe_bytes
    assert result.fits


def test_padding_is_the_share_of_blocks_beyond_the_matrix() -> None:
    assert memory(program(), SPEC).padding == 1 - (7 * 10) / (9 * 12)


def test_the_map_has_the_bytes_of_every_pe() -> None:
    result = memory(program(), SPEC)
    used = bytes_map(result, SPEC)
    assert used.shape == (16, 16)
    assert (used[1:5, 2:5] == result.max_pe_bytes).all()
    assert used.sum() == result.used_bytes


def test_values_leave_after_their_last_use() -> None:
    b = Builder("chain of sums", 1, 1)
    x = b.input("x", (100,), Layout((None,)))
    for _ in range(5):
        x = b.local("add", x, x)
    assert peak_activation_bytes(b.build(x)) == 2 * 100 * 4


def test_a_program_that_is_too_large_does_not_fit() -> None:
    assert not memory(program(), replace(SPEC, sram_bytes=300)).fits
