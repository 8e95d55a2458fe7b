"""What steps become: routes that pass the checks and get colors, and instructions."""

from collections import defaultdict

import pytest

from wse_emu.engines.code import Instruction
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.lowering import lower_broadcast, lower_reduce, program_routes
from wse_emu.fabric import Mesh
from wse_emu.fabric.routes import RAMP, allocate_colors, check_route
from wse_emu.hardware import load_wafer
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models import load_model
from wse_emu.program import AllReduce

WSE3 = load_wafer("wse3")
EAST, WEST = 1, 2


def test_a_chain_alternates_between_two_channels() -> None:
    program = lower_reduce("chain", 4, 5, back=False)
    assert program.instructions == {
        3: [Instruction("send", 5, target=1, reducing=True)],
        2: [Instruction("recv_op_send", 5, source=1, target=0)],
        1: [Instruction("recv_op_send", 5, source=0, target=1)],
        0: [Instruction("recv_op", 5, source=1)],
    }
    assert program.ports[1] == {3: (RAMP, WEST), 2: (EAST, RAMP), 1: (RAMP, WEST), 0: (EAST, RAMP)}


def test_a_broadcast_is_one_multicast_route() -> None:
    assert lower_broadcast(1, 4, 2).ports == {
        0: {1: (RAMP, EAST | WEST), 2: (WEST, EAST | RAMP), 3: (WEST, RAMP), 0: (EAST, RAMP)}
    }


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
@pytest.mark.parametrize("reduce", ["auto", "chain", "two_way", "two_phase", "ktree:4"])
def test_a_models_routes_pass_the_checks_and_get_colors(mapping: str, reduce: str) -> None:
    request = Request(load_model("tiny").config, WSE3, 128, reduce, Estimator(WSE3))
    mesh = Mesh.from_spec(WSE3)
    routes = program_routes(make_plan(mapping, request).program, mesh)
    for route in routes:
        check_route(route, mesh)
    colors = allocate_colors(routes, WSE3)
    assert max(colors.values()) < WSE3.colors - WSE3.runtime_colors
    by_color = defaultdict(list)
    for route in routes:
        by_color[colors[route.name]].append(route)
    for shared in by_color.values():
        for i, first in enumerate(shared):
            assert all(first.meets(other) is None for other in shared[i + 1 :])


def test_every_step_of_a_layer_that_talks_has_routes() -> None:
    request = Request(load_model("tiny").config, WSE3, 128, "chain", Estimator(WSE3))
    program = make_plan("shared", request).program
    names = {route.name.split(" on ")[0] for route in program_routes(program, Mesh.from_spec(WSE3))}
    talking = [step for body in program.bodies for step in body.steps if isinstance(step, AllReduce)]
    assert {f"all_reduce by chain along {axis}" for axis in ("x", "y")} <= names
    assert len(names) == len({(step.axis, step.group) for step in talking})
