"""Cycles of a token for many placements of a pipeline's regions, to the cycle as the timing engine counts them.

What a layer takes depends on the clocks that its PEs start with, and these on how the move to it lies. Most placements
have moves alike: farther ones are later by their hops alone. So each kind of step is timed once, by the engine, and
remembered; a batch of placements goes through the layers together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wse_emu.engines.semantics import stream_costs
from wse_emu.engines.wafer_clock import Clocks, TimingEngine
from wse_emu.fabric.region import Region
from wse_emu.mappings.layers import Pipeline
from wse_emu.program import Call, Program, Transfer

EMBED, LAYER, HEAD = range(3)
"""Kinds of steps: from embedding to the first layer, from layer to layer, from the last layer to the head."""
Ends = list[tuple[np.ndarray, np.ndarray]]
"""(column here, column there), (row here, row there) of a step's two corners, each ``[placements]``."""
Seams = tuple[tuple[int, ...], tuple[int, ...]]
"""Rows and columns of a region at which seams lie."""


@dataclass(frozen=True)
class _Step:
    """What a step does to a token whose earliest PE is at 0 and whose move is 0 hops long."""

    pattern: int
    """Of the clocks afterwards."""
    later: int
    """How much later the earliest PE is."""
    latest: int
    """When the latest PE of all is."""


class TokenClock:
    """Times the first token of ``pipeline`` at ``position``: call it with corners ``[placements, blocks]``."""

    def __init__(self, pipeline: Pipeline, position: int) -> None:
        self._pipeline, self._spec = pipeline, pipeline.request.spec
        self._position, self._slots = position, position // pipeline.rows + 1
        activations = pipeline.request.precision.activations
        self._due = stream_costs(self._spec, activations, combining=False).due(pipeline.hidden.wavelets)
        self._patterns: list[np.ndarray] = []
        self._known: dict[bytes, int] = {}
        self._steps: dict[tuple[int, ...], _Step] = {}
        self._bodies: dict[tuple[int, int, Seams], tuple[int, int, int]] = {}
        self._begun: dict[Seams, tuple[int, int]] = {}
        """Pattern and earliest clock after the embedding, by the seams that cross its region."""
        self._angles: dict[Seams, int] = {}
        """When a layer's PEs have their rotary angles, by the same."""
        self._seams, self._passed = self._seam_tables()
        self._most_seams = max(map(len, self._inside()), default=0)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Cycles of a token, int64 ``[placements]``."""
        placements, blocks = x.shape
        pattern, base = self._embedded(x[:, 0], y[:, 0])
        latest = base + np.array([int(self._patterns[p].max()) for p in pattern])
        exact = np.zeros(placements, dtype=bool)
        for block in range(1, blocks + 1):
            here, there = block - 1, block % blocks
            kind = HEAD if there == 0 else EMBED if here == 0 else LAYER
            layer = self._pipeline.first_alike(max(there - 1, 0))
            ends = [(axis[:, here], axis[:, there]) for axis in (x, y)]
            if kind != EMBED:
                exact |= base < self._ready(kind, x[:, there], y[:, there]) + self._due
            found = self._timed(kind, layer, pattern, base, ends)
            far = self._far(*ends[0], *ends[1])
            latest = np.maximum(latest, base + far + [step.latest for step in found])
            base = base + far + [step.later for step in found]
            pattern = np.array([step.pattern for step in found])
        for i in np.flatnonzero(exact):
            latest[i] = self.plain(x[i], y[i])
        return np.asarray(latest)

    def plain(self, x: np.ndarray, y: np.ndarray) -> int:
        """The same for one placement, by the engine alone."""
        program = self._pipeline.program(self._regions(x.tolist(), y.tolist()))
        return TimingEngine(program, self._spec).token(self._position).cycles

    def _regions(self, x: list[int], y: list[int]) -> list[Region]:
        widths = self._pipeline.widths
        return [Region(*one, self._pipeline.rows) for one in zip(x, y, widths, strict=True)]

    def _far(self, x: np.ndarray, to_x: np.ndarray, y: np.ndarray, to_y: np.ndarray) -> np.ndarray:
        """Cycles by which a step is later than one that lies alike and next to it: hops, and seams beyond some."""
        crossed = np.abs(self._passed[to_y] - self._passed[y])
        beyond = np.maximum(crossed - self._most_seams - 1, 0)
        hops = np.abs(x - to_x) + np.abs(y - to_y)
        return np.asarray(self._spec.hop_cycles * hops + self._spec.seam_cycles * beyond)

    def _inside(self) -> list[tuple[int, ...]]:
        """Seams inside a region, by its first row."""
        spec, rows = self._spec, self._pipeline.rows
        return [spec.seams_in(0, y, 1, rows)[0] for y in range(spec.rows - rows + 1)]

    def _seam_tables(self) -> tuple[np.ndarray, np.ndarray]:
        """By a region's row: which seams cross it, as a number for each kind, and how many lie before it."""
        spec, inside = self._spec, self._inside()
        kinds = {seams: i for i, seams in enumerate(dict.fromkeys(inside))}
        numbers = np.array([kinds[seams] for seams in inside])
        return numbers, np.searchsorted(np.array(spec.row_seams), np.arange(len(inside)), side="right")

    def _alike(self, kind: int, layer: int, pattern: np.ndarray, base: np.ndarray, ends: Ends) -> np.ndarray:
        """What two steps must have in common to take equally long but for their hops, ``[placements, …]``."""
        (x, to_x), (y, to_y) = ends
        widths, rows, most = self._pipeline.widths, self._pipeline.rows, self._most_seams + 1
        wide, to_wide = widths[0 if kind == EMBED else 1], widths[0 if kind == HEAD else 1]
        way = np.stack([to_x - x, to_y - y, self._passed[to_y] - self._passed[y]])
        alike = np.clip(way.T, (-to_wide, -rows, -most), (wide, rows, most)).T
        # the first layer's PEs may not be ready yet when the hidden state comes: then its hops count in full
        near = (kind == EMBED) & (base < self._ready(kind, to_x, to_y) + self._due)
        placed = bool(self._spec.column_seams) or bool(self._pipeline.request.defects)
        parts = (np.where(near, base, -1), *np.where(near | placed, way, alike), self._seams[y], self._seams[to_y])
        parts += (x, y) if placed else ()
        return np.stack([np.full_like(x, kind), np.full_like(x, layer), pattern, *parts], axis=1)

    def _timed(self, kind: int, layer: int, pattern: np.ndarray, base: np.ndarray, ends: Ends) -> list[_Step]:
        keys, first, each = np.unique(
            self._alike(kind, layer, pattern, base, ends), axis=0, return_index=True, return_inverse=True
        )
        found = []
        for key, i in zip(map(tuple, keys.tolist()), first.tolist(), strict=True):
            if key not in self._steps:
                corners = [(int(a[i]), int(b[i])) for a, b in ends]
                self._steps[key] = self._time(kind, layer, int(pattern[i]), int(base[i]), corners)
            found.append(self._steps[key])
        return [found[i] for i in each.ravel().tolist()]

    def _time(self, kind: int, layer: int, pattern: int, base: int, ends: list[tuple[int, int]]) -> _Step:
        """One step by the engine, at the place where it was first met."""
        pipeline, widths, rows = self._pipeline, self._pipeline.widths, self._pipeline.rows
        here, there = (widths[0 if kind == EMBED else 1], widths[0 if kind == HEAD else 1])
        (x, to_x), (y, to_y) = ends
        source, target = Region(x, y, here, rows), Region(to_x, to_y, there, rows)
        late = base if kind == EMBED else 0
        clocks = {source: self._patterns[pattern] + late, target: np.zeros((rows, there), dtype=np.int64)}
        first: tuple[Call | Transfer, ...] = (pipeline.last_move(source, target),)
        if kind != HEAD:
            first = pipeline.step(layer, source, target)[:-1]
        if kind != EMBED:
            first = first[-1:]
            clocks[target] -= self._due  # its PEs have long been ready
        moved = self._advance(first, clocks)
        arrival, arrived = self._remember(clocks[target])
        after, later, latest = self._worked(kind, layer, arrival, target)
        far = late + self._far(*(np.array(end) for end in (x, to_x, y, to_y)))
        return _Step(after, int(arrived + later - far), int(max(moved, arrived + latest) - far))

    def _worked(self, kind: int, layer: int, arrival: int, region: Region) -> tuple[int, int, int]:
        """Pattern after a layer or the head that starts with the pattern ``arrival``, its earliest and latest clock."""
        key = (-1 if kind == HEAD else layer, arrival, self._crossed_by(region))
        if key not in self._bodies:
            clocks = {region: self._patterns[arrival].copy()}
            call = self._pipeline.ends(region)[1] if kind == HEAD else self._pipeline.step(layer, region, region)[-1]
            latest = self._advance((call,), clocks)
            self._bodies[key] = (*self._remember(clocks[region]), latest)
        return self._bodies[key]

    def _advance(self, steps: Sequence[Call | Transfer], clocks: Clocks) -> int:
        return TimingEngine(Program("step", tuple(steps), self._pipeline.request.defects), self._spec).advance(
            steps, clocks, self._slots
        )

    def _crossed_by(self, region: Region) -> Seams:
        return self._spec.seams_in(region.x, region.y, region.width, region.height)

    def _embedded(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pattern and earliest PE after the embedding."""
        found = [
            self._begun_on(Region(*corner, self._pipeline.ends_cols, self._pipeline.rows)) for corner in _pairs(x, y)
        ]
        patterns, earliest = np.array(found).reshape(-1, 2).T
        return np.asarray(patterns), np.asarray(earliest)

    def _begun_on(self, region: Region) -> tuple[int, int]:
        seams = self._crossed_by(region)
        if seams not in self._begun:
            clocks = {region: np.zeros((region.height, region.width), dtype=np.int64)}
            self._advance(self._pipeline.ends(region)[:1], clocks)
            self._begun[seams] = self._remember(clocks[region])
        return self._begun[seams]

    def _ready(self, kind: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """When the PEs of a step's target have done what they do before the hidden state comes, at the latest."""
        if kind == HEAD:
            pattern, base = self._embedded(x, y)
            longest = np.array([int(self._patterns[p].max()) for p in pattern])
            return np.asarray(base + longest + self._due)
        return np.array([self._angles_on(Region(*pe, self._pipeline.cols, self._pipeline.rows)) for pe in _pairs(x, y)])

    def _angles_on(self, region: Region) -> int:
        seams = self._crossed_by(region)
        if seams not in self._angles:
            clocks = {region: np.zeros((region.height, region.width), dtype=np.int64)}
            self._angles[seams] = self._advance(self._pipeline.step(0, region, region)[:-2], clocks)
        return self._angles[seams]

    def _remember(self, clock: np.ndarray) -> tuple[int, int]:
        """The number of this pattern of clocks, and its earliest."""
        earliest = int(clock.min())
        relative = clock - earliest
        number = self._known.setdefault(relative.tobytes(), len(self._patterns))
        if number == len(self._patterns):
            self._patterns.append(relative)
        return number, earliest


def _pairs(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[int, int]]:
    return zip(x.tolist(), y.tolist(), strict=True)
