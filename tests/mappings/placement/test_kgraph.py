"""ISPD 2020 kernels: sizes and times by the contest's formulas, and packings that a plain checker accepts."""

from functools import cache
from math import ceil
from pathlib import Path

import pytest

from wse_emu.errors import WseError
from wse_emu.mappings.placement import PlacementProblem
from wse_emu.mappings.placement.kgraph import Conv, convs_of, kgraph_problem
from wse_emu.mappings.placement.readers import read_problem, suite
from wse_emu.mappings.placement.search import Result, run_strategy

HEAD = "(*\nwidth=40\nheight=30\nwdeltat=2\nwlength=3\nwadapter=0\nmemlimit=4000\n*)\n"
BOUNDS = {"A": 33_152, "C": 60_270, "I": 46_592, "K": 252, "M": 2_156_543}
"""Lower bounds of the slowest kernel: no more area than the fabric has (README of the collection of benchmarks)."""


def best_by_hand(conv: Conv, memory: int, width: int, height: int) -> dict[tuple[int, int], float]:
    """The least time of one convolution upright in each exact size, every argument tried."""
    found: dict[tuple[int, int], float] = {}
    for h in range(1, conv.h + 1):
        for w in range(1, conv.w + 1):
            for c in range(1, conv.c + 1):
                for k in range(1, conv.k + 1):
                    high, wide = h * w * (c + 1), 3 * k
                    held = (conv.c / c) * (conv.k / k) * conv.r * conv.s
                    held += ((conv.w + conv.s - 1) / w) * ((conv.h + conv.r - 1) / h) * (conv.k / k)
                    if high > height or wide > width or held > memory:
                        continue
                    steps = ceil(conv.h / h) * ceil(conv.w / w) * ceil(conv.c / c) * ceil(conv.k / k)
                    time = steps * conv.r * conv.s / conv.t**2
                    found[wide, high] = min(time, found.get((wide, high), time))
    return found


def test_a_convolution_has_the_shapes_of_the_formula() -> None:
    text = HEAD + "conv[1] W=4 H=3 R=3 S=3 C=4 K=6 T=2 U=2 name='one'\n"
    (block,) = kgraph_problem(text, "k").blocks
    conv = convs_of("conv", {"H": 3, "W": 4, "R": 3, "S": 3, "C": 4, "K": 6, "T": 2})[0]
    found = best_by_hand(conv, 4000, 40, 40)
    upright = {size: time for size, time in found.items() if size[1] <= 30}
    turned = {(high, wide): time for (wide, high), time in found.items() if wide <= 30 and high <= 40}
    every = [*upright.items(), *turned.items()]
    for (wide, high), time in every:
        assert any(s.width <= wide and s.height <= high and s.cycles <= time for s in block.shapes)
    for shape in block.shapes:
        assert ((shape.width, shape.height), shape.cycles) in every


def test_blocks_of_convolutions_share_their_height_arguments() -> None:
    d, c = (convs_of(kind, {"h": 8, "w": 6, "f": 16}) for kind in ("dblock", "cblock"))
    assert d == (Conv(8, 6, 1, 1, 16, 4), Conv(8, 6, 3, 3, 4, 4), Conv(8, 6, 1, 1, 4, 16))
    assert c == (Conv(8, 6, 1, 1, 8, 4), Conv(8, 6, 3, 3, 4, 4, 2), Conv(4, 3, 1, 1, 4, 16), Conv(8, 6, 1, 1, 8, 16, 2))


def test_connections_of_input_and_output_do_not_count() -> None:
    kernels = "conv[1] W=2 H=2 R=1 S=1 C=2 K=2 T=1 name='a'\nconv[2] W=2 H=2 R=1 S=1 C=2 K=2 T=1 name='b'\n"
    wires = "input[0]:_ -> conv[1]:x, shape:[1]\nconv[1]:y -> conv[2]:x\nconv[2]:y -> output[3]:_\n"
    problem = kgraph_problem(HEAD + kernels + wires, "k")
    assert [(flow.source, flow.targets) for flow in problem.flows] == [(0, (1,))]
    assert (problem.objective.slowest_cycles, problem.objective.hop_wavelets) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width=4\n", "k: the header has no height"),
        (HEAD + "dblock[1] f=8 h=4 name='a'\n", r"k, line 9: dblock\[1\] has no w"),
        (HEAD + "conv[1] W=2 H=2 R=1 S=1 C=2 K=2 T=1\nconv[1]:y -> conv[7]:x\n", "names kernel 7, which is not"),
        (HEAD.replace("4000", "1") + "conv[1] W=9 H=9 R=3 S=3 C=9 K=9 T=1\n", "kernel conv1 fits .* in no shape"),
    ],
)
def test_wrong_files_are_refused(text: str, said: str) -> None:
    with pytest.raises(WseError, match=said):
        kgraph_problem(text, "k", "k")


@cache
def case(name: str) -> PlacementProblem:
    return read_problem(suite()[f"ispd-{name}"])


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in "ACI" else []) for n in BOUNDS])
def test_the_shipped_cases_have_the_lower_bound_that_others_found(name: str) -> None:
    problem = case(name)
    times = sorted({shape.cycles for block in problem.blocks for shape in block.shapes})

    def area(limit: float) -> float:
        least = (
            min((s.width * s.height for s in b.shapes if s.cycles <= limit), default=10**9) for b in problem.blocks
        )
        return sum(least)

    low, high = 0, len(times) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if area(times[middle]) <= 633 * 633 else (middle + 1, high)
    assert times[low] == pytest.approx(BOUNDS[name], abs=1)


def judged(problem: PlacementProblem, result: Result) -> float:
    """The contest's score by its definition, after a check tile by tile."""
    taken: set[tuple[int, int]] = set()
    centres, slowest = [], 0.0
    for block, x, y, chosen in zip(
        problem.blocks, result.placement.x, result.placement.y, result.placement.shape, strict=True
    ):
        shape = block.shapes[chosen]
        tiles = {(x + i, y + j) for i in range(shape.width) for j in range(shape.height)}
        assert not tiles & taken
        assert 0 <= x <= x + shape.width <= problem.columns
        assert 0 <= y <= y + shape.height <= problem.rows
        taken |= tiles
        centres.append((x + shape.width / 2, y + shape.height / 2))
        slowest = max(slowest, shape.cycles)
    wires = [(centres[flow.source], centres[target]) for flow in problem.flows for target in flow.targets]
    length = sum(abs(ax - bx) + abs(ay - by) for (ax, ay), (bx, by) in wires)
    return problem.objective.slowest_cycles * slowest + problem.objective.hop_wavelets * length


@pytest.mark.slow
@pytest.mark.parametrize(("name", "beaten"), [("I", 57_236.0), ("K", 1_944.0), ("M", 2_230_230.0)])
def test_strips_beat_what_others_reached(name: str, beaten: float) -> None:
    """I and K: their figure for 60 s; M: for 10 s."""
    problem = read_problem(Path(f"ispd-{name}"))
    result = run_strategy(problem, "strips", seconds=10)
    assert judged(problem, result) == pytest.approx(result.cost["cost"])
    assert result.cost["cost"] < beaten


def test_strips_of_a_small_network_are_legal() -> None:
    kernels = "".join(f"conv[{i}] W=4 H=4 R=1 S=1 C=4 K=4 T=1 name='k{i}'\n" for i in range(1, 7))
    wires = "".join(f"conv[{i}]:y -> conv[{i + 1}]:x\n" for i in range(1, 6))
    problem = kgraph_problem(HEAD + kernels + wires, "chain")
    result = run_strategy(problem, "strips", seconds=0.5)
    assert judged(problem, result) == pytest.approx(result.cost["cost"])
