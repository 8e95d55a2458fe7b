"""The timing of whole tokens: bodies run once for every layer that looks alike, and once for all tokens that do."""

from dataclasses import dataclass, field
from math import ceil

import numpy as np

from wse_emu.engines.semantics import stream_costs
from wse_emu.engines.timing import EAST, NORTH, SOUTH, WEST, BodyClock
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Body, Call, Program, Transfer

Clocks = dict[Region, np.ndarray]


@dataclass(frozen=True, eq=False)
class TokenTiming:
    """One token: from the clocks it starts with to those it leaves."""

    cycles: int
    cycles_by_kernel: dict[str, int]
    """Growth of the latest clock while the kernel runs; sums to ``cycles``."""
    crossings: tuple[tuple[Region, np.ndarray, int], ...]
    """(region, wavelets leaving each PE ``[E W N S, rows, cols]``, how many calls had them)."""
    end: int
    """Which of the engine's remembered clock patterns the token leaves."""


@dataclass
class _Run:
    """What one token gathers while it runs."""

    clocks: Clocks
    kernel_ticks: dict[str, int] = field(default_factory=dict)
    crossings: dict[tuple[Region, int], tuple[np.ndarray, int]] = field(default_factory=dict)
    latest: int = 0

    def spend(self, kernel: str, latest: int) -> None:
        self.kernel_ticks[kernel] = self.kernel_ticks.get(kernel, 0) + latest - self.latest
        self.latest = latest


class TimingEngine:
    """Times the tokens of one program on the wafer ``spec``, without data."""

    def __init__(self, program: Program, spec: WaferSpec) -> None:
        self.program, self.spec = program, spec
        regions = dict.fromkeys(call.region for call in program.calls)
        zero = {region: np.zeros((region.height, region.width), dtype=np.int64) for region in regions}
        self._patterns: list[Clocks] = [zero]
        self._bodies: dict[tuple[Body, int], list[tuple[np.ndarray, BodyClock]]] = {}
        self._tokens: dict[tuple[int, int], TokenTiming] = {}
        self._heights = {call.region.height for call in program.calls}

    def token(self, position: int, start: int = 0) -> TokenTiming:
        """Time the token at ``position``; ``start`` is the clock pattern that the token before left (its ``end``)."""
        (height,) = self._heights
        key = (position // height + 1, start)
        if key not in self._tokens:
            self._tokens[key] = self._run(*key)
        return self._tokens[key]

    def clocks(self, timing: TokenTiming) -> np.ndarray:
        """Cycle at which each PE finishes, relative to the first to finish, ``[rows, columns]``; −1: unused."""
        out = np.full((self.spec.rows, self.spec.columns), -1, dtype=np.int64)
        for region, clock in self._patterns[timing.end].items():
            out[region.y : region.bottom, region.x : region.right] = clock // self.spec.ticks_per_cycle
        return out

    def links(self, timings: list[TokenTiming]) -> np.ndarray:
        """Wavelets that left every PE in all these tokens, int64 ``[E W N S, rows, columns]``."""
        total = np.zeros((4, self.spec.rows, self.spec.columns), dtype=np.int64)
        counts: dict[int, tuple[TokenTiming, int]] = {}
        for timing in timings:
            counts[id(timing)] = (timing, counts.get(id(timing), (timing, 0))[1] + 1)
        for timing, tokens in counts.values():
            for region, links, calls in timing.crossings:
                total[:, region.y : region.bottom, region.x : region.right] += links * (tokens * calls)
        for move in self.program.steps:
            if isinstance(move, Transfer):
                _count_move(total, move, len(timings))
        return total

    def _run(self, slots: int, start: int) -> TokenTiming:
        run = _Run({region: clock.copy() for region, clock in self._patterns[start].items()})
        run.latest = begin = max(int(clock.max()) for clock in run.clocks.values())
        for step in self.program.steps:
            if isinstance(step, Call):
                self._call(run, step, slots)
            else:
                self._move(run, step)
        ticks = self.spec.ticks_per_cycle
        cycles = ceil((run.latest - begin) / ticks)
        return TokenTiming(
            cycles,
            _whole_cycles(run.kernel_ticks, ticks, cycles),
            tuple((region, links, calls) for (region, _), (links, calls) in run.crossings.items()),
            self._remember(run.clocks),
        )

    def _call(self, run: _Run, call: Call, slots: int) -> None:
        clock = run.clocks[call.region]
        base = int(clock.min())
        body = self._body(call.body, slots, clock - base)
        before = run.latest
        clock[:] = body.clock
        clock += body.offset + base
        run.latest = max(before, int(clock.max()))
        _attribute(run, body.kernel_ticks, run.latest - before)
        key = (call.region, id(body))
        run.crossings[key] = (body.links, run.crossings.get(key, (body.links, 0))[1] + 1)

    def _body(self, body: Body, slots: int, start: np.ndarray) -> BodyClock:
        known = self._bodies.setdefault((body, slots), [])
        for before, clock in known:
            if np.array_equal(before, start):
                return clock
        clock = BodyClock(self.spec, body, start, slots)
        clock.run()
        known.append((start, clock))
        return clock

    def _move(self, run: _Run, move: Transfer) -> None:
        """Row i goes along y in a column of its own, then along row i; see :class:`wse_emu.program.Transfer`."""
        source, target = run.clocks[move.source], run.clocks[move.target]
        costs = stream_costs(self.spec, move.value.dtype, combining=False)
        rows = np.arange(move.source.height)
        columns = rows % move.source.width
        down = move.target.y - move.source.y
        sharing = 1 if down == 0 else -(-move.source.height // move.source.width)
        busy = costs.setup + move.value.wavelets * costs.pace
        sent = source[rows, columns] + busy
        entry = (move.source.x + columns)[:, None]
        across = np.abs(move.target.x + np.arange(move.target.width)[None, :] - entry)
        hops = across + abs(down)
        waiting = (sharing - 1) * move.value.wavelets * costs.pace
        arrival = sent[:, None] + waiting + costs.ramps + costs.receive + hops * costs.hop
        source[rows, columns] = sent
        target += busy
        np.maximum(target, arrival, out=target)
        run.spend(move.kernel, max(run.latest, int(target.max())))

    def _remember(self, clocks: Clocks) -> int:
        """The number of this clock pattern, taken relative to its earliest PE."""
        first = min(int(clock.min()) for clock in clocks.values())
        pattern = {region: clock - first for region, clock in clocks.items()}
        for index, known in enumerate(self._patterns):
            if all(np.array_equal(known[region], clock) for region, clock in pattern.items()):
                return index
        self._patterns.append(pattern)
        return len(self._patterns) - 1


def _count_move(links: np.ndarray, move: Transfer, times: int) -> None:
    """Add a move's wavelets to ``links``: each row along its column first, then along its row to the target's ends."""
    wavelets, left, right = move.value.wavelets * times, move.target.x, move.target.right - 1
    for row in range(move.source.height):
        x = move.source.x + row % move.source.width
        start, stop = move.source.y + row, move.target.y + row
        if stop > start:
            links[SOUTH, start:stop, x] += wavelets
        else:
            links[NORTH, stop + 1 : start + 1, x] += wavelets
        links[EAST, stop, x : max(x, right)] += wavelets
        links[WEST, stop, min(x, left) + 1 : x + 1] += wavelets


def _attribute(run: _Run, kernel_ticks: dict[str, int], growth: int) -> None:
    """Share the growth of the wafer's latest clock among the kernels of a body.

    It is the body's own unless the region started behind others; then the body's last kernels are those on the path.
    """
    for kernel, ticks in reversed(kernel_ticks.items()):
        counted = min(ticks, growth)
        run.kernel_ticks[kernel] = run.kernel_ticks.get(kernel, 0) + counted
        growth -= counted
    if growth and kernel_ticks:
        last = next(reversed(kernel_ticks))
        run.kernel_ticks[last] += growth


def _whole_cycles(ticks: dict[str, int], per_cycle: int, total: int) -> dict[str, int]:
    """Ticks by kernel as whole cycles that sum to ``total``: rounded down, what is left to the largest parts."""
    cycles = {kernel: count // per_cycle for kernel, count in ticks.items()}
    short = total - sum(cycles.values())
    for kernel in sorted(ticks, key=lambda name: -(ticks[name] % per_cycle))[:short]:
        cycles[kernel] += 1
    return cycles
