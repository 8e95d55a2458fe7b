"""ISPD 2020 networks: what is read from their files."""

from functools import cache

import pytest

from wse_emu.errors import WseError
from wse_emu.mappings.placement import PlacementProblem
from wse_emu.mappings.placement.convs import Conv, convs_of
from wse_emu.mappings.placement.kgraph import kgraph_problem
from wse_emu.mappings.placement.readers import read_problem, suite

HEAD = "(*\nwidth=40\nheight=30\nwdeltat=2\nwlength=3\nwadapter=0\nmemlimit=4000\n*)\n"
BOUNDS = {"A": 33_152, "C": 60_270, "I": 46_592, "K": 252, "M": 2_156_543}
"""Lower bounds of the slowest kernel: no more area than the fabric has (README of the collection of benchmarks)."""


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
