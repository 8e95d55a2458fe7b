"""What the PEs of a region do with their cycles, by kernel: computing, streaming, and for the rest waiting.

Computing is what :func:`wse_emu.engines.semantics.local_cycles` charges. Streaming is the set-up of each stream
instruction and its wavelets at the link's rate, as if none were late. Along a line every PE at one place does the same,
so a region's streams are a profile along x and one along y, and single PEs that send a move.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from wse_emu.engines.lowering import lower
from wse_emu.engines.moves import move_plan
from wse_emu.engines.semantics import local_cycles, stream_costs
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import AllReduce, Body, Broadcast, Host, Local, Overlap, Program, Reduce, Shift, Transfer

Collective = Reduce | AllReduce | Broadcast | Shift


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


def activity(program: Program, spec: WaferSpec, slots: Sequence[int]) -> Activity:
    """Cycles of the PEs in tokens with so many ``slots`` of the KV cache in use, one number a token."""
    found: Activity = {}
    tokens = Counter(slots)
    calls = Counter((call.body, call.region) for call in program.calls)
    for used, times in tokens.items():
        bodies = {body: dict(_body(body, spec, used)) for body in program.bodies}
        for (body, region), count in calls.items():
            for kernel, share in bodies[body].items():
                _share(found, region, kernel).add(share, count * times)
    mesh = Mesh.from_spec(spec, defects=program.defects)
    for step in program.steps:
        if isinstance(step, Transfer):
            _move(found, step, mesh, spec, len(slots))
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


def _body(body: Body, spec: WaferSpec, slots: int) -> Iterator[tuple[str, Share]]:
    shares: Activity = {}
    region = Region(0, 0, body.cols, body.rows)
    for step in body.steps:
        share = _share(shares, region, step.kernel)
        if isinstance(step, Local):
            share.compute += local_cycles(spec, step, slots)
        elif isinstance(step, Overlap):
            share.compute += sum(local_cycles(spec, part, slots) for part in step.meanwhile)
            for shift in step.shifts:
                _stream(share, shift, body, spec, slots)
        elif not isinstance(step, Host):  # the PE waits for the host
            _stream(share, step, body, spec, slots)
    yield from shares.get(region, {}).items()


def _stream(share: Share, step: Collective, body: Body, spec: WaferSpec, slots: int) -> None:
    """Add the stream instructions of ``step``; one in the background is beside another and costs nothing."""
    line = lower(step, body.rows, body.cols, slots)
    profile = share.along_y if step.axis == "y" else share.along_x
    for position, instructions in line.instructions.items():
        cycles = 0
        for one in instructions:
            if one.wavelets and one.kind != "wait" and not one.background:
                adds = one.kind in {"recv_op", "recv_op_send"} or one.reducing
                cycles += stream_costs(spec, step.inputs[0].dtype, combining=adds).due(one.wavelets)
        groups = len(profile) // line.extent
        profile[position : groups * line.extent : line.extent] += cycles


def _move(found: Activity, move: Transfer, mesh: Mesh, spec: WaferSpec, tokens: int) -> None:
    """One PE of each row sends, every PE of the target receives."""
    cycles = tokens * stream_costs(spec, move.value.dtype, combining=False).due(move.value.wavelets)
    _share(found, move.target, move.kernel).along_y += cycles
    sent = _share(found, move.source, move.kernel)
    for x, y in move_plan(move.source, move.target, mesh).corners[:, 0].tolist():
        sent.single[x, y] += cycles
