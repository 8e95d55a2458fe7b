"""The colors and routes of a program as the page needs them: ports by place on a line, and the ways of moves."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from wse_emu.engines.lowering import pattern, program_channels
from wse_emu.engines.moves import move_plan, move_routes
from wse_emu.errors import WseError
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import Route, allocate_colors
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Broadcast, Overlap, Program, Reduce, Shift, Transfer
from wse_emu.report.page.encode import encode


def channels(program: Program, spec: WaferSpec, regions: dict[Region, int]) -> dict[str, Any]:
    """Routes of collectives and moves, each with its color, and where each region lies in ``regions``.

    ``ports`` are ``[inputs · 32 + outputs]`` by place along ``axis``, alike across it (bits as
    :data:`wse_emu.fabric.routes.PORTS`). A move's ``ways`` are corners ``[rows, corners · 2]``.
    """
    mesh = Mesh.from_spec(spec, defects=program.defects)
    held = program_channels(program)
    moves = [(index, step) for index, step in enumerate(program.steps) if isinstance(step, Transfer)]
    moved = {index: move_routes(step, mesh) for index, step in moves}
    colors = _colors([route for routes in (*held.values(), *moved.values()) for route in routes], spec)
    kernels = _kernels(program)
    return {
        "colors_known": colors is not None,
        "lines": [
            {
                "region": regions[region],
                "name": name,
                "channel": channel,
                "color": (colors or {}).get(route.name),
                "kernels": kernels[region, name],
                **_profile(route),
            }
            for (region, name), routes in held.items()
            for channel, route in enumerate(routes)
        ],
        "moves": [
            {
                "step": index,
                "source": regions[step.source],
                "targets": [regions[target] for target in step.targets],
                "span": [step.span.x, step.span.width],
                "colors": [(colors or {}).get(route.name) for route in moved[index]],
                **_ways(step, mesh),
            }
            for index, step in moves
        ],
    }


def _colors(routes: list[Route], spec: WaferSpec) -> dict[str, int] | None:
    try:
        return allocate_colors(routes, spec)
    except WseError:
        return None  # too few for them; report.json says so


def _kernels(program: Program) -> dict[tuple[Region, str], list[str]]:
    """Which kernels use each pattern of each region."""
    found: dict[tuple[Region, str], dict[str, None]] = {}
    for call in program.calls:
        for step in call.body.steps:
            for part in step.shifts if isinstance(step, Overlap) else (step,):
                if isinstance(part, Reduce | Broadcast | Shift):
                    found.setdefault((call.region, pattern(part)), {})[part.kernel] = None
    return {key: list(names) for key, names in found.items()}


def _profile(route: Route) -> dict[str, Any]:
    """The ports along the axis on which they differ; a collective's are alike across it."""
    ports = route.inputs.astype(np.int64) * 32 + route.outputs
    along_y = bool((ports == ports[:, :1]).all())
    assert along_y or (ports == ports[:1]).all()
    line = ports[:, 0] if along_y else ports[0]
    return {"axis": "y" if along_y else "x", "ports": list(_runs(line.tolist()))}


def _runs(line: list[int]) -> Iterator[list[int]]:
    """[ports, how many PEs in turn]"""
    start = 0
    for place in range(1, len(line) + 1):
        if place == len(line) or line[place] != line[start]:
            yield [line[start], place - start]
            start = place


def _ways(move: Transfer, mesh: Mesh) -> dict[str, Any]:
    """Of each row: the number of its channel, and the corners of its way as far as the targets' row."""
    plan = move_plan(move.source, move.span, mesh)
    return {
        "channels": encode(plan.channels),
        "ways": encode(plan.corners.reshape(len(plan.corners), -1)),
    }
