"""Problems of a model's kernels and experts: nothing is lost on the way from a program to blocks and flows."""

from collections.abc import Sequence

import numpy as np
import pytest

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.timing import BodyClock
from wse_emu.errors import WseError
from wse_emu.hardware import load_wafer
from wse_emu.mappings.placement import PlacementProblem
from wse_emu.mappings.placement.kernels import _Shapes, expert_problem, kernel_problem
from wse_emu.mappings.placement.search import run_strategy
from wse_emu.mappings.plan import Request
from wse_emu.models import ModelConfig, Rope

SMALL = ModelConfig("llama", 64, 32, 3, 4, 2, 8, 96, 64, 1e-5, Rope(10000.0, "half"))
KERNELS = ["norm 1", "qkv", "rope", "attention", "output", "norm 2", "mlp"]


def request(wafer: str = "wse3", positions: int = 64) -> Request:
    spec = load_wafer(wafer)
    return Request(SMALL, spec, positions, "auto", Estimator(spec))


def edges(problem: PlacementProblem) -> set[tuple[str, str]]:
    names = [block.name for block in problem.blocks]
    return {(names[flow.source], names[target]) for flow in problem.flows for target in flow.targets}


def test_every_layer_has_its_kernels_and_values_go_from_one_to_the_next() -> None:
    problem = kernel_problem(request())
    assert [block.name for block in problem.blocks] == [
        "embedding", *(f"layer {i} {kernel}" for i in range(3) for kernel in KERNELS), "head"
    ]  # fmt: skip
    found = edges(problem)
    for before, after in (("norm 1", "qkv"), ("qkv", "rope"), ("rope", "attention"), ("qkv", "attention")):
        assert (f"layer 1 {before}", f"layer 1 {after}") in found
    assert {after for before, after in found if before == "embedding"} == {"layer 0 norm 1", "layer 0 output"}
    assert {after for before, after in found if before == "layer 0 mlp"} == {"layer 1 norm 1", "layer 1 output"}
    assert {before for before, after in found if after == "head"} == {"layer 2 mlp"}
    hidden = next(f for f in problem.flows if f.source == 0)
    assert hidden.wavelets == SMALL.hidden


def test_kernels_cycles_are_parts_of_the_layers() -> None:
    """On every shape that is tried, they add up to what the timing engine says by kernel."""
    asked = request()
    for body, cycles in _Shapes(asked).bodies["layer"]:
        clock = BodyClock(asked.spec, body, np.zeros((body.rows, body.cols), dtype=np.int64), 32 // body.rows + 1)
        clock.run()
        found: dict[str, int] = {}
        for name, part in zip(KERNELS, cycles, strict=True):
            found[name.split()[0]] = found.get(name.split()[0], 0) + part
        assert found == clock.kernel_cycles


@pytest.mark.parametrize("index", range(9))
def test_shapes_are_a_choice_between_space_and_time(index: int) -> None:
    shapes = kernel_problem(request()).blocks[index].shapes
    areas, cycles = [s.width * s.height for s in shapes], [s.cycles for s in shapes]
    assert areas == sorted(areas)
    assert cycles == sorted(cycles, reverse=True)
    assert all(shape.bytes <= load_wafer("wse3").sram_bytes for shape in shapes)


def test_every_strategy_that_can_places_the_kernels() -> None:
    problem = kernel_problem(request("mini"))
    for name in ("row_major", "greedy", "strips"):
        result = run_strategy(problem, name, seconds=0.2)
        assert result.cost["cycles"] >= sum(min(s.cycles for s in block.shapes) for block in problem.blocks[:2])


def test_experts_get_the_hidden_state_as_often_as_they_are_chosen() -> None:
    problem = expert_problem(request(), 4, 2, (1.0, 0.5, 0.25, 0.25))
    assert [block.name for block in problem.blocks] == ["router", *(f"expert {i}" for i in range(4))]
    sent = {flow.targets[0]: flow.wavelets for flow in problem.flows if flow.source == 0}
    assert sent == {1: 32.0, 2: 16.0, 3: 8.0, 4: 8.0}
    back = {flow.source: flow.wavelets for flow in problem.flows if flow.targets == (0,)}
    assert back == sent


@pytest.mark.parametrize(
    ("experts", "active", "shares", "said"),
    [
        (4, 5, None, "5 of 4 experts are active: 1 to 4 work"),
        (4, 0, None, "0 of 4 experts are active"),
        (2, 1, (0.5, 0.6), "2 chances that add up to 1.1: 2 with a sum of 1 work"),
        (2, 1, (1.0,), "1 chances that add up to 1: 2 with a sum of 1 work"),
    ],
)
def test_experts_that_contradict_each_other(
    experts: int, active: int, shares: Sequence[float] | None, said: str
) -> None:
    with pytest.raises(WseError, match=said):
        expert_problem(request(), experts, active, shares)
