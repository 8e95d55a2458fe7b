"""What the PEs of a region do with their cycles, by kernel: computing, streaming, and for the rest waiting.

Computing is what :func:`wse_emu.engines.semantics.local_cycles` charges. Streaming is what
:mod:`wse_emu.engines.occupancy` counts beside it, as if no wavelet were late. Along a line every PE at one place does
the same, so a region's streams are a profile along x and one along y, and single PEs that send a move.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from wse_emu.engines.moves import move_plan
from wse_emu.engines.occupancy import ALONG_Y, computing_cycles, step_busy
from wse_emu.engines.semantics import stream_costs
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Body, Program, Routing, Transfer


@dataclass
class Share:
    """Cycles of one kernel on the PEs of a region."""

    compute: int
    """On every PE."""
    along_x: np.ndarray
    """Streaming, by column ``[width]``."""
    along_y: np.ndarray
    """Streaming, by row ``[height]``."""
    single: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Streaming of single PEs (x, y) on the wafer."""

    def add(self, other: "Share", times: int) -> None:
        """Add ``times`` what another has."""
        self.compute += times * other.compute
        self.along_x += times * other.along_x
        self.along_y += times * other.along_y


Activity = dict[Region, dict[str, Share]]
"""By region and kernel."""


def activity(program: Program, spec: WaferSpec, tokens: Iterable[tuple[int, Routing]]) -> Activity:
    """Cycles of the PEs in ``tokens``, each with its slots of the KV cache in use and the experts that it meets."""
    found: Activity = {}
    mesh = Mesh.from_spec(spec, defects=program.defects)
    for (slots, routing), times in Counter(tokens).items():
        taken = program.routed(routing)
        bodies = {body: _body(body, spec, slots) for body in taken.bodies}
        for (body, region), calls in Counter((call.body, call.region) for call in taken.calls).items():
            for kernel, share in bodies[body].items():
                _share(found, region, kernel).add(share, calls * times)
        for step in taken.steps:
            if isinstance(step, Transfer):
                _move(found, step, mesh, spec, times)
    return found


def activity_maps(found: Activity, spec: WaferSpec) -> tuple[np.ndarray, np.ndarray]:
    """Cycles spent computing and streaming on every PE of the wafer, int64 ``[rows, columns]`` each."""
    compute, streams = np.zeros((2, spec.rows, spec.columns), dtype=np.int64)
    for region, kernels in found.items():
        part = slice(region.y, region.bottom), slice(region.x, region.right)
        for share in kernels.values():
            compute[part] += share.compute
            streams[part] += share.along_y[:, None] + share.along_x
            for (x, y), cycles in share.single.items():
                streams[y, x] += cycles
    return compute, streams


def _share(found: Activity, region: Region, kernel: str) -> Share:
    empty = Share(0, np.zeros(region.width, dtype=np.int64), np.zeros(region.height, dtype=np.int64))
    return found.setdefault(region, {}).setdefault(kernel, empty)


def _body(body: Body, spec: WaferSpec, slots: int) -> dict[str, Share]:
    """Of one run of ``body``, by kernel."""
    region = Region(0, 0, body.cols, body.rows)
    shares: Activity = {region: {}}
    for step in body.steps:
        share = _share(shares, region, step.kernel)
        computing = computing_cycles(step, spec, slots)
        axis, busy = step_busy(step, body.rows, body.cols, spec, slots)
        share.compute += computing
        line = share.along_y if axis == ALONG_Y else share.along_x
        line[: len(busy)] += busy - computing
    return shares[region]


def _move(found: Activity, move: Transfer, mesh: Mesh, spec: WaferSpec, tokens: int) -> None:
    """One PE of each row sends, every PE of the target receives."""
    cycles = tokens * stream_costs(spec, move.value.dtype, combining=False).due(move.value.wavelets)
    for target in move.targets:
        _share(found, target, move.kernel).along_y += cycles
    sent = _share(found, move.source, move.kernel)
    for x, y in move_plan(move.source, move.span, mesh).corners[:, 0].tolist():
        sent.single[x, y] += cycles
