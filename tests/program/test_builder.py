"""The builder emits what a kernel says, and the program prints as text that a reader can follow."""

import pytest

from wse_emu.engines.estimate import Estimator
from wse_emu.errors import WseError
from wse_emu.hardware import load_wafer
from wse_emu.kernels.gemv import gemv
from wse_emu.kernels.norm import rms_norm
from wse_emu.program import Body, Builder, Layout


def two_gemvs() -> Body:
    b = Builder("example", 4, 3, reduce="chain")
    x = b.input("x", (10,), Layout(("y",)))
    with b.kernel("norm"):
        x = rms_norm(b, x, b.weight("scale", (10,), Layout(("y",))), epsilon=1e-5)
    up = b.weight("up", (7, 10), Layout(("x", "y")))
    down = b.weight("down", (10, 7), Layout(("y", "x")))
    return b.build(gemv(b, down, gemv(b, up, x, reduce="tree")))


def test_a_body_prints_one_step_a_line() -> None:
    assert str(two_gemvs()).splitlines() == [
        "body example on 3×4 PEs",
        "  input %x: float32[10] (y)",
        "  weight %scale: float32[10] (y)",
        "  weight %up: float32[7×10] (x, y)",
        "  weight %down: float32[10×7] (y, x)",
        "  %1: float32[1] (·) partial y = local sum_of_squares(%x)  # norm",
        "  %2: float32[1] (·) = all_reduce add(%1) along y by chain  # norm",
        "  %3: float32[10] (y) = local rms_scale(%x, %2, %scale)  # norm",
        "  %4: float32[7] (x) partial y = local gemv(%up, %3)  # example",
        "  %5: float32[7] (x) = all_reduce add(%4) along y by tree  # example",
        "  %6: float32[10] (y) partial x = local gemv(%down, %5)  # example",
        "  %7: float32[10] (y) = all_reduce add(%6) along x by chain  # example",
        "  return %7",
    ]


def test_values_know_when_they_are_last_read() -> None:
    body = two_gemvs()
    assert body.last_use == {"x": 2, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6}


def test_auto_is_what_the_timing_model_finds_fastest() -> None:
    spec = load_wafer("wse3")
    estimator = Estimator(spec)
    b = Builder("auto", 64, 1, choose=estimator.choose)
    x = b.input("x", (64, 5), Layout(("y", None)))
    b.all_reduce(x, axis="y")
    (step,) = b.build().steps
    from wse_emu.engines.timing import collective_cycles
    from wse_emu.program.schedule import candidates

    ticks = {name: collective_cycles(spec, name, 64, 5, "float32", back=True) for name in candidates(64)}
    assert ticks[step.algorithm] == min(ticks.values())  # type: ignore[union-attr]


def test_mistakes_in_a_kernel_are_named() -> None:
    b = Builder("wrong", 4, 3)
    x = b.input("x", (10,), Layout(("y",)))
    with pytest.raises(WseError, match="the name 'x' is taken"):
        b.weight("x", (10,), Layout(("y",)))
    with pytest.raises(WseError, match="broadcast along x from 3: the region has 3 PEs there"):
        b.broadcast(x, axis="x", root=3)
    with pytest.raises(WseError, match="groups of 5 PEs along y: the region has 4"):
        b.all_reduce(x, axis="y", algorithm="chain", group=5)
    with pytest.raises(WseError, match="unknown reduction algorithm 'comet'"):
        b.reduce(x, axis="y", algorithm="comet")
    with pytest.raises(WseError, match="`auto` needs a chooser"):
        b.reduce(x, axis="y", algorithm="auto")
    with pytest.raises(WseError, match="empty"):
        Builder("empty", 0, 3)
