"""Lowered streams, walked router by router, arrive where and when the timing engine says, over the same links."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines import streams
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.lowering import Instruction, LineProgram, lower, lower_broadcast, lower_reduce, program_routes
from wse_emu.engines.semantics import StreamCosts, stream_costs
from wse_emu.engines.timing import BodyClock
from wse_emu.fabric import Mesh
from wse_emu.fabric.routes import RAMP, allocate_colors, check_route
from wse_emu.hardware import WaferSpec, load_wafer
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models import load_model
from wse_emu.program import AllReduce, Broadcast, Reduce, Shift

WSE3 = load_wafer("wse3")
EAST, WEST = 1, 2


class Line:
    """A line of PEs with a router each, a wavelet at a time: slow and obvious."""

    def __init__(self, program: LineProgram, start: list[int], spec: WaferSpec, dtype: str, *, shift: bool) -> None:
        self.program, self.clock, self.shift = program, list(start), shift
        self.plain = stream_costs(spec, dtype, combining=False)
        self.combining = stream_costs(spec, dtype, combining=True)
        self.pending = {place: list(told) for place, told in program.instructions.items()}
        self.mail: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.crossed: dict[tuple[int, int], int] = defaultdict(int)
        self.sending_until: dict[int, int] = {}

    def run(self) -> None:
        """Every PE runs its instructions in order; one that waits for wavelets is tried again later."""
        while any(self.pending.values()):
            ran = [place for place, told in self.pending.items() if told and self._run_one(place, told[0])]
            assert ran, f"deadlock: {self.pending}"
            for place in ran:
                del self.pending[place][0]

    def _run_one(self, place: int, instruction: Instruction) -> bool:
        now = self.clock[place]
        if instruction.kind == "send":
            sent = self._send(place, instruction, now)
            if self.shift:  # a microthread sends while the PE goes on to receive
                self.sending_until[place] = sent
            else:
                self.clock[place] = sent
            return True
        if len(self.mail[instruction.source, place]) < instruction.wavelets:
            return False
        received = self._receive(place, instruction, now)
        self.clock[place] = max(received, self.sending_until.get(place, 0))
        return True

    def _costs(self, instruction: Instruction) -> StreamCosts:
        return self.combining if instruction.kind in {"recv_op", "recv_op_send"} else self.plain

    def _send(self, place: int, instruction: Instruction, now: int) -> int:
        now += self.plain.setup
        for _ in range(instruction.wavelets):
            now += self.plain.pace
            self._walk(place, instruction.target, now)
        return now

    def _receive(self, place: int, instruction: Instruction, now: int) -> int:
        costs = self._costs(instruction)
        box = self.mail[instruction.source, place]
        work = costs.receive if instruction.kind == "recv" else costs.combine
        now += costs.setup
        for _ in range(instruction.wavelets):
            now = max(now + costs.pace, box.pop(0) + work)
            if instruction.kind == "recv_op_send":
                self._walk(place, instruction.target, now)
        return now

    def _walk(self, place: int, channel: int, left: int) -> None:
        """One wavelet from the ramp of ``place``, router by router, to every ramp that its route goes down."""
        ports = self.program.ports[channel]
        heads = [(place, RAMP, left)]
        while heads:
            at, came_by, time = heads.pop()
            inputs, outputs = ports[at]
            assert inputs == came_by, "one input, and it is this one"
            if outputs & RAMP:
                self.mail[channel, at].append(time + self.plain.ramps)
            for way, step in ((EAST, 1), (WEST, -1)):
                if outputs & way:
                    self.crossed[at, step] += 1
                    heads.append((at + step, WEST if way == EAST else EAST, time + self.plain.hop))


def finished(program: LineProgram, start: list[int], spec: WaferSpec, dtype: str, *, shift: bool) -> Line:
    line = Line(program, start, spec, dtype, shift=shift)
    line.run()
    assert not any(line.mail.values()), "nothing is left over"
    return line


@settings(max_examples=120, deadline=None)
@given(streams.cases(), st.data(), st.sampled_from(("wse2", "wse3")))
def test_lowered_streams_arrive_when_the_timing_engine_says(
    case: streams.Case, data: st.DataObject, wafer: str
) -> None:
    spec, body = load_wafer(wafer), case.body()
    start = np.array(
        data.draw(st.lists(st.integers(0, 400), min_size=case.rows * case.cols, max_size=case.rows * case.cols))
    )
    start = start.reshape(case.rows, case.cols)
    expected = BodyClock(spec, body, start, 1)
    expected.run()
    (step,) = body.steps
    assert isinstance(step, Reduce | Broadcast | Shift)
    program = lower(step, case.rows, case.cols, 1)
    crossings = np.zeros_like(expected.links)
    for places in case.lines():
        line = finished(program, [int(start[pe]) for pe in places], spec, case.dtype, shift=case.kind == "shift")
        assert line.clock == [int(expected.clock[pe]) + expected.offset for pe in places]
        for (at, way), times in line.crossed.items():
            y, x = places[at]
            direction = {("x", 1): 0, ("x", -1): 1, ("y", -1): 2, ("y", 1): 3}[case.axis, way]
            crossings[direction, y, x] += times
    assert (crossings == expected.links).all()


def test_a_chain_alternates_between_two_channels() -> None:
    program = lower_reduce("chain", 4, 5, back=False)
    assert program.instructions == {
        3: [Instruction("send", 5, target=1)],
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
    routes = program_routes(make_plan(mapping, request).program)
    mesh = Mesh.from_spec(WSE3)
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
    names = {route.name.split(" on ")[0] for route in program_routes(program)}
    talking = [step for body in program.bodies for step in body.steps if isinstance(step, AllReduce)]
    assert {f"all_reduce by chain along {axis}" for axis in ("x", "y")} <= names
    assert len(names) == len({(step.axis, step.group) for step in talking})
