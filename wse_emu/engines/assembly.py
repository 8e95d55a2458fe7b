"""From a program's steps to what the machine runs: routes with colors, and the PEs' instructions, step after step."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from wse_emu.engines.code import Code, Color, FabricProgram, Instruction, Source
from wse_emu.engines.lowering import Channels, Collective, LineProgram, lower, pattern, program_channels
from wse_emu.engines.moves import move_plan, move_routes
from wse_emu.engines.semantics import host_cycles, local_cycles
from wse_emu.errors import WseError
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import allocate_colors, check_route
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Body, Call, Host, Local, Overlap, Program, Routing, Shift, Transfer


def assemble_body(body: Body, spec: WaferSpec, slots: int = 1) -> FabricProgram:
    """One body alone in the corner of the wafer."""
    return assemble(Program(body.name, (Call(body, Region(0, 0, body.cols, body.rows), (), ()),)), spec, slots)


def assemble(program: Program, spec: WaferSpec, slots: int, routing: Routing = ()) -> FabricProgram:
    """One token of ``program`` with ``slots`` KV-cache slots in use, for the wavelet engine.

    ``routing`` says which experts it meets, where these have regions of their own; the others' PEs have nothing to do,
    and routes are those of this token alone.
    Raises WseError for a region off the wafer or over a defect, a route that cannot work (kernel and PE are named), or
    more colors than the fabric has.
    """
    return _Assembler(program, spec, slots, routing).build()


class _Assembler:
    def __init__(self, whole: Program, spec: WaferSpec, slots: int, routing: Routing) -> None:
        self.program = program = whole.routed(routing)
        self.spec, self.slots = spec, slots
        self.regions = tuple(dict.fromkeys(call.region for call in whole.calls))
        self.mesh = mesh = Mesh.from_spec(spec, defects=program.defects)
        for call in whole.calls:
            mesh.check_region(call.region, f"body {call.body.name} of {program.name}")
        self.channels: Channels = program_channels(program)
        self.moves = {move: move_routes(move, mesh) for move in program.steps if isinstance(move, Transfer)}
        routes = [route for held in (*self.channels.values(), *self.moves.values()) for route in held]
        routes = list({route.name: route for route in routes}.values())
        self.box = _box([*self.regions, *(route.region for route in routes), *_ways(whole, mesh)])
        for route in routes:
            check_route(route, mesh)
        self.color = allocate_colors(routes, spec)
        self.routes = routes
        self.code = Code()

    def build(self) -> FabricProgram:
        box = self.box
        starts = np.full((box.height, box.width), -1, dtype=np.int32)
        for region, steps in self._by_region().items():
            place = len(self.code.axis)
            self._script(region, steps)
            here = starts[_in(region, box)]
            if (here >= 0).any():
                raise WseError(f"{self.program.name}: the region {region} overlaps another; regions apart work")
            here[...] = place
        colors, names = self._colors()
        dtype = next((v.dtype for body in self.program.bodies for s in body.steps for v in s.inputs), "float32")
        return FabricProgram(
            self.spec, box.height, box.width, colors, self.code, starts, (box.x, box.y), dtype=dtype, names=names
        )

    def _by_region(self) -> dict[Region, list[tuple[int, Call | Transfer]]]:
        """What every region does, in order, with its place in the program; a move belongs to two."""
        found: dict[Region, list[tuple[int, Call | Transfer]]] = {region: [] for region in self.regions}
        for index, step in enumerate(self.program.steps):
            regions = [step.region] if isinstance(step, Call) else [step.source, *step.targets]
            for region in regions:
                found.setdefault(region, []).append((index, step))
        return found

    def _script(self, region: Region, steps: Iterable[tuple[int, Call | Transfer]]) -> None:
        for index, step in steps:
            if isinstance(step, Call):
                self._call(region, step.body, index)
            else:
                self._move(region, step, index)
        self.code.end()

    def _call(self, region: Region, body: Body, index: int) -> None:
        """Local steps in a row become one block, so that PEs need looking after once."""
        waiting: list[tuple[str, Source]] = []
        for place, step in enumerate(body.steps):
            if isinstance(step, Local):
                waiting.append((step.kernel, (index, place, local_cycles(self.spec, step, self.slots))))
                continue
            self._compute(waiting)
            waiting = []
            before = len(self.code.axis)
            if isinstance(step, Collective):
                self._collective(region, body, step)
            elif isinstance(step, Overlap):
                self._overlap(region, body, step)
            elif isinstance(step, Host) and step.blocking:
                told = Instruction("host", host_cycles(self.spec, step), meets=region.pes)
                self.code.block([told], {step.kernel: 1})
            if len(self.code.axis) > before:
                self.code.sources[before] = [(index, place, 0)]
        self._compute(waiting)

    def _compute(self, parts: list[tuple[str, Source]]) -> None:
        if cycles := sum(source[2] for _, source in parts):
            by_kernel: dict[str, int] = {}
            for kernel, source in parts:
                by_kernel[kernel] = by_kernel.get(kernel, 0) + source[2]
            place = self.code.block([Instruction("compute", cycles)], by_kernel)
            self.code.sources[place] = [source for _, source in parts]

    def _collective(self, region: Region, body: Body, step: Collective) -> None:
        told = self._told(region, body, step)
        extent = body.rows if step.axis == "y" else body.cols
        entries = [self.code.enter(one) for one in told] * (extent // len(told))
        entries += [-1] * (extent - len(entries))
        origin = region.y - self.box.y if step.axis == "y" else region.x - self.box.x
        self.code.refer(entries, Code.ALONG_Y if step.axis == "y" else Code.ALONG_X, origin, {step.kernel: 1})

    def _told(self, region: Region, body: Body, step: Collective) -> list[list[Instruction]]:
        """The instructions of ``step`` by position on its line (or group)."""
        line = lower(step, body.rows, body.cols, self.slots)
        routes = self.channels[region, pattern(step)]
        names = dict(zip(sorted(line.ports), routes, strict=True))
        colors = {channel: self.color[route.name] for channel, route in names.items()}
        colors[-1] = -1
        return [self._colored(line, place, colors) for place in range(line.extent)]

    def _overlap(self, region: Region, body: Body, step: Overlap) -> None:
        """Every PE begins all its streams in the background, computes, and waits for them."""
        cycles = sum(local_cycles(self.spec, part, self.slots) for part in step.meanwhile)
        by_axis = {shift.axis: self._streams(region, body, shift) for shift in step.shifts}
        known: dict[tuple[Instruction, ...], int] = {}
        entries = []
        for row in by_axis.get("y", [()] * body.rows):
            for col in by_axis.get("x", [()] * body.cols):
                told = (*row, *col, Instruction("compute", cycles), Instruction("wait"))
                if told not in known:
                    known[told] = self.code.enter(list(told))
                entries.append(known[told])
        inside = Region(region.x - self.box.x, region.y - self.box.y, region.width, region.height)
        self.code.refer(entries, Code.IN_REGION, 0, {step.kernel: 1}, inside)

    def _streams(self, region: Region, body: Body, shift: Shift) -> list[tuple[Instruction, ...]]:
        told = self._told(region, body, shift)
        return [tuple(replace(one, background=True) for one in told[i] if one.kind != "wait") for i in range(len(told))]

    @staticmethod
    def _colored(line: LineProgram, place: int, colors: dict[int, int]) -> list[Instruction]:
        return [
            Instruction(i.kind, i.wavelets, colors[i.source], colors[i.target], i.background, i.reducing)
            for i in line.instructions.get(place, [])
            if i.wavelets or i.kind == "wait"
        ]

    def _move(self, region: Region, move: Transfer, index: int) -> None:
        """Senders in the source's region, receivers everywhere in the target's."""
        plan = move_plan(move.source, move.span, self.mesh)
        columns = (plan.columns - move.source.x).tolist()
        colors = [self.color[route.name] for route in self.moves[move]]
        held = [colors[channel] for channel in plan.channels]
        wavelets = move.value.wavelets
        if region == move.source:
            entries = np.full((region.height, region.width), -1, dtype=np.int64)
            for row, column in enumerate(columns):
                entries[row, column] = self.code.enter([Instruction("send", wavelets, target=held[row])])
            inside = Region(region.x - self.box.x, region.y - self.box.y, region.width, region.height)
            place = self.code.refer(entries.ravel().tolist(), Code.IN_REGION, 0, {move.kernel: 1}, inside)
            self.code.sources[place] = [(index, 0, 0)]
        if region in move.targets:
            told = [[Instruction("recv", wavelets, source=color)] for color in held]
            place = self.code.blocks(told, Code.ALONG_Y, region.y - self.box.y, {move.kernel: 1})
            self.code.sources[place] = [(index, 1 + move.targets.index(region), 0)]

    def _colors(self) -> tuple[list[Color], list[str]]:
        count = max(self.color.values(), default=-1) + 1
        colors = [Color.empty(self.box.height, self.box.width) for _ in range(count)]
        names: list[list[str]] = [[] for _ in range(count)]
        for route in self.routes:
            color = self.color[route.name]
            where = _in(route.region, self.box)
            colors[color].inputs[0][where] |= route.inputs
            colors[color].outputs[0][where] |= route.outputs
            names[color].append(route.name)
        return colors, [f"color {i} ({held[0]}{', …' if held[1:] else ''})" for i, held in enumerate(names)]


def _ways(whole: Program, mesh: Mesh) -> list[Region]:
    """What other tokens' moves cross, so that all tokens have one box; without defects they stay between regions."""
    if not (whole.experts and whole.defects):
        return []
    moves = (step for step in whole.steps if isinstance(step, Transfer))
    return [route.region for move in moves for route in move_routes(move, mesh)]


def _box(regions: list[Region]) -> Region:
    x, y = min(r.x for r in regions), min(r.y for r in regions)
    return Region(x, y, max(r.right for r in regions) - x, max(r.bottom for r in regions) - y)


def _in(region: Region, box: Region) -> tuple[slice, slice]:
    return slice(region.y - box.y, region.bottom - box.y), slice(region.x - box.x, region.right - box.x)
