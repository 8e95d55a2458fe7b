"""Lowering: the routes and the PEs' stream instructions that a step's streams become.

Along a line every PE at one position does the same in all lines, so instructions are kept per position. The two arms of
a phase, and all arms of one, need two colors between them: a PE receives on one and sends on the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from wse_emu.engines.code import Instruction
from wse_emu.engines.lines import sources
from wse_emu.engines.moves import move_routes
from wse_emu.errors import WseError
from wse_emu.fabric.directions import Direction
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import RAMP, Route, port
from wse_emu.program import AllReduce, Broadcast, Overlap, Program, Reduce, Shift
from wse_emu.program.body import Body, Call, Transfer
from wse_emu.program.schedule import Phase, schedule

Collective = Reduce | Broadcast | Shift


@dataclass
class LineProgram:
    """The streams of one step along a line of ``extent`` PEs: router ports by channel, instructions by position.

    ``ports[channel][position]`` is (inputs, outputs), bit sets in which "forward" is the east and "backward" the west.
    """

    extent: int
    ports: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    instructions: dict[int, list[Instruction]] = field(default_factory=dict)

    def stream(self, channel: int, start: int, stops: list[int]) -> None:
        """A route from the PE at ``start`` in a straight line to all of ``stops``, multicast."""
        for step in (1, -1):
            ends = [stop for stop in stops if (stop - start) * step > 0]
            if not ends:
                continue
            last = max(ends, key=lambda stop: abs(stop - start))
            ahead, behind = (_FORWARD, _BACKWARD) if step > 0 else (_BACKWARD, _FORWARD)
            self._join(channel, start, RAMP, ahead)
            for position in range(start + step, last + step, step):
                onward = ahead if position != last else 0
                self._join(channel, position, behind, onward | (RAMP if position in ends else 0))

    def tell(self, position: int, instruction: Instruction) -> None:
        """Append to the program of the PE at ``position``."""
        self.instructions.setdefault(position, []).append(instruction)

    def _join(self, channel: int, position: int, inputs: int, outputs: int) -> None:
        held = self.ports.setdefault(channel, {}).get(position, (0, 0))
        self.ports[channel][position] = (held[0] | inputs, held[1] | outputs)


_FORWARD, _BACKWARD = port(Direction.EAST), port(Direction.WEST)


def lower_reduce(algorithm: str, extent: int, wavelets: int, *, back: bool) -> LineProgram:
    """A reduction by ``algorithm`` on one line, with ``back`` the broadcast of its result."""
    plan = schedule(algorithm, extent)
    line = LineProgram(extent)
    channel = 0
    if plan.nested:
        for phase in plan.phases:
            _lower_alone(line, phase, wavelets)
        channel = 1 + max(line.ports, default=-1)
    else:
        for level in _levels(plan.phases):
            for phase in level:
                _lower_phase(line, phase, channel, wavelets)
            channel += 2
    if back:
        _lower_broadcast(line, plan.root, channel, wavelets)
    return line


def lower_broadcast(root: int, extent: int, wavelets: int) -> LineProgram:
    """A multicast from position ``root`` to the whole line."""
    line = LineProgram(extent)
    _lower_broadcast(line, root, 0, wavelets)
    return line


def lower_shift(distance: int, extent: int, wavelets: int) -> LineProgram:
    """``distance`` cyclic steps around the interleaved ring: a PE sends to its successor and receives beside it."""
    line = LineProgram(extent)
    if extent == 1:
        return line
    source = sources(extent, 1 if distance > 0 else -1).tolist()
    channels: dict[int, int] = {}
    for target, start in enumerate(source):
        channels[start] = _free_channel(line, start, target)
        line.stream(channels[start], start, [target])
    for _ in range(abs(distance)):
        for position in range(extent):
            line.tell(position, Instruction("send", wavelets, target=channels[position], background=True))
            line.tell(position, Instruction("recv", wavelets, source=channels[source[position]]))
            line.tell(position, Instruction("wait"))
    return line


def _free_channel(line: LineProgram, start: int, stop: int) -> int:
    """The first channel on which nothing passes any PE from ``start`` to ``stop``."""
    span = range(min(start, stop), max(start, stop) + 1)
    channel = 0
    while any(position in line.ports.get(channel, {}) for position in span):
        channel += 1
    return channel


def _levels(phases: tuple[Phase, ...]) -> Iterator[list[Phase]]:
    """Phases with the same spacing share their two channels: their arms meet at heads alone, from opposite sides."""
    level: list[Phase] = []
    for phase in phases:
        if level and abs(phase.step) != abs(level[0].step):
            yield level
            level = []
        level.append(phase)
    if level:
        yield level


def _lower_phase(line: LineProgram, phase: Phase, channel: int, wavelets: int) -> None:
    """Hops of an arm alternate between two channels; the last one's depends on the side, so that a head can tell."""
    side = 0 if phase.step > 0 else 1
    for arm in phase.positions():
        for i, (start, stop) in enumerate(pairwise(arm)):
            mine = channel + (side + len(arm) - 2 - i) % 2
            before = channel + (side + len(arm) - 1 - i) % 2
            line.stream(mine, start, [stop])
            if i == 0:
                line.tell(start, Instruction("send", wavelets, target=mine, reducing=True))
            else:
                line.tell(start, Instruction("recv_op_send", wavelets, source=before, target=mine))
        line.tell(arm[-1], Instruction("recv_op", wavelets, source=channel + side))


def _lower_alone(line: LineProgram, phase: Phase, wavelets: int) -> None:
    """Every message of an arm on the first channel that no other uses on its way."""
    for arm in phase.positions():
        before = -1
        for i, (start, stop) in enumerate(pairwise(arm)):
            mine = _free_channel(line, start, stop)
            line.stream(mine, start, [stop])
            if i == 0:
                line.tell(start, Instruction("send", wavelets, target=mine, reducing=True))
            else:
                line.tell(start, Instruction("recv_op_send", wavelets, source=before, target=mine))
            before = mine
        line.tell(arm[-1], Instruction("recv_op", wavelets, source=before))


def _lower_broadcast(line: LineProgram, root: int, channel: int, wavelets: int) -> None:
    others = [position for position in range(line.extent) if position != root]
    if not others:
        return
    line.stream(channel, root, others)
    line.tell(root, Instruction("send", wavelets, target=channel))
    for position in others:
        line.tell(position, Instruction("recv", wavelets, source=channel))


def lower(step: Collective, rows: int, cols: int, slots: int) -> LineProgram:
    """The streams of ``step`` on one of its lines (or on one of its groups)."""
    extent = rows if step.axis == "y" else cols
    wavelets = sum(value.wavelets_in_use(slots) for value in step.inputs)
    if isinstance(step, Broadcast):
        return lower_broadcast(step.root, extent, wavelets)
    if isinstance(step, Shift):
        return lower_shift(step.distance, extent, wavelets)
    return lower_reduce(step.algorithm, step.group or extent, wavelets, back=isinstance(step, AllReduce))


Channels = dict[tuple[Region, str], list[Route]]
"""By region and what a collective does there: the routes of its channels, in order."""


def program_channels(program: Program) -> Channels:
    """All routes of the collectives of ``program``, each once, however many steps use it. Moves are not among them."""
    found: Channels = {}
    for call in program.calls:
        for step in _collectives(call.body):
            key = (call.region, pattern(step))
            if key not in found:
                found[key] = _routes(call, step)
    return found


def _collectives(body: Body) -> Iterator[Collective]:
    for step in body.steps:
        if isinstance(step, Overlap):
            yield from step.shifts
        elif isinstance(step, Collective):
            yield step


def program_routes(program: Program, mesh: Mesh) -> list[Route]:
    """The routes of :func:`program_channels`, and those of the moves on ``mesh``."""
    routes = [route for held in program_channels(program).values() for route in held]
    moves = [step for step in program.steps if isinstance(step, Transfer)]
    return routes + [route for move in moves for route in move_routes(move, mesh)]


def pattern(step: Collective) -> str:
    """What makes two collectives on one region use the same routes."""
    if isinstance(step, Broadcast):
        return f"broadcast from {step.root} along {step.axis}"
    if isinstance(step, Shift):
        return f"shift by {step.distance} along {step.axis}"
    back = "all_reduce" if isinstance(step, AllReduce) else "reduce"
    group = f" in groups of {step.group}" if step.group else ""
    return f"{back} by {step.algorithm} along {step.axis}{group}"


def _routes(call: Call, step: Collective) -> list[Route]:
    line = lower(step, call.body.rows, call.body.cols, 1)
    extent = call.body.rows if step.axis == "y" else call.body.cols
    if line.extent > extent:
        raise WseError(f"{pattern(step)}: groups of {line.extent} on a line of {extent} PEs")
    groups = extent // line.extent
    routes = []
    for channel, positions in sorted(line.ports.items()):
        inputs, outputs = np.zeros((2, call.body.rows, call.body.cols), dtype=np.uint8)
        for position, (into, out) in positions.items():
            for group in range(groups):
                where = _place(step.axis, group * line.extent + position)
                inputs[where], outputs[where] = _turned(into, step.axis), _turned(out, step.axis)
        routes.append(Route(f"{pattern(step)} on {call.region} #{channel}", step.kernel, call.region, inputs, outputs))
    return routes


def _place(axis: str, position: int) -> tuple[slice, slice]:
    """All PEs of a region at ``position`` of their line."""
    along = slice(position, position + 1)
    return (along, slice(None)) if axis == "y" else (slice(None), along)


def _turned(bits: int, axis: str) -> int:
    """Ports of a line as ports of the mesh: along y, forward is the south."""
    if axis == "x":
        return bits
    forward = port(Direction.SOUTH) if bits & _FORWARD else 0
    backward = port(Direction.NORTH) if bits & _BACKWARD else 0
    return forward | backward | (bits & RAMP)
