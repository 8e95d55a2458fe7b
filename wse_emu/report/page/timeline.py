"""One token as spans of time: which kernel ran where, from one cycle to another, by the timing model."""

from dataclasses import dataclass

import numpy as np

from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Call, Program


@dataclass(frozen=True)
class Span:
    """A kernel at work on a region: between the cycles at which the region's last PE began it and finished it."""

    kernel: str
    step: int
    """Of the program: a call or a move."""
    region: Region
    start: int
    end: int


def spans(program: Program, spec: WaferSpec, slots: int, start: np.ndarray | None = None) -> list[Span]:
    """A token with ``slots`` of the KV cache in use, in cycles since the latest PE finished the one before.

    ``start``: the clocks that the token before left, ``[rows, columns]``; None: all zero. What a region did before the
    token began (angles need nothing from it) is left out.
    """
    regions = dict.fromkeys(call.region for call in program.calls)
    clocks = {region: _part(start, region) for region in regions}
    begin = max(int(clock.max()) for clock in clocks.values())
    engine, bodies = TimingEngine(program, spec), Bodies(spec, slots)
    found: list[Span] = []
    for index, step in enumerate(program.steps):
        if isinstance(step, Call):
            parts = bodies.run(step, clocks[step.region])
            found += [Span(kernel, index, step.region, first, last) for kernel, first, last in parts]
        else:
            before = int(clocks[step.source].max())
            engine.advance([step], clocks, slots)
            found.append(Span(step.kernel, index, step.target, before, int(clocks[step.target].max())))
    late = [(span, max(span.start - begin, 0), span.end - begin) for span in found if span.end > begin]
    return [Span(span.kernel, span.step, span.region, first, last) for span, first, last in late]


Parts = list[tuple[str, int, int]]
"""(kernel, start, end) in turn."""


class Bodies:
    """Runs calls; those of one body that begin alike are run once."""

    def __init__(self, spec: WaferSpec, slots: int) -> None:
        self._spec, self._slots = spec, slots
        self._known: dict[tuple[object, ...], tuple[Parts, np.ndarray]] = {}

    def run(self, call: Call, clock: np.ndarray) -> Parts:
        """The kernels of a call that begins at ``clock`` ``[height, width]``, which moves on, in place."""
        base, region = int(clock.min()), call.region
        seams = self._spec.seams_in(region.x, region.y, region.width, region.height)
        key = (call.body, seams, (clock - base).tobytes())
        if key not in self._known:
            self._known[key] = _body(BodyClock(self._spec, call.body, clock - base, self._slots, seams))
        parts, after = self._known[key]
        clock[:] = after + base
        return [(kernel, start + base, end + base) for kernel, start, end in parts]


def _body(clock: BodyClock) -> tuple[Parts, np.ndarray]:
    """The kernels of a body, and its clocks afterwards, both since the region's earliest PE began."""
    parts: Parts = []
    latest = int(clock.clock.max())
    for step in clock.body.steps:
        clock.step(step)
        before, latest = latest, int(clock.clock.max()) + clock.offset
        if parts and parts[-1][0] == step.kernel:
            parts[-1] = (step.kernel, parts[-1][1], latest)
        elif latest > before:
            parts.append((step.kernel, before, latest))
    return parts, clock.clock + clock.offset


def _part(start: np.ndarray | None, region: Region) -> np.ndarray:
    if start is None:
        return np.zeros((region.height, region.width), dtype=np.int64)
    return start[region.y : region.bottom, region.x : region.right].copy()


def named_steps(program: Program) -> list[str]:
    """What a reader calls each step of ``program``: "layer 3", "embedding", "rope angles", or "to layer 3", a move."""
    names: list[str] = []
    following = ""
    for step in reversed(program.steps):
        if isinstance(step, Call):
            following = _name(step)
        names.append(following if isinstance(step, Call) else f"to {following}")
    return names[::-1]


def _name(step: Call) -> str:
    if step.prefix.startswith("layers."):
        return f"layer {step.prefix.split('.')[1]}"
    return {"embed": "embedding", "angles": "rope angles"}.get(step.body.name, step.body.name)
