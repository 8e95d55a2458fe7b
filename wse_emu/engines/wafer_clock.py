"""The timing of whole tokens: bodies run once for every layer that looks alike, and once for all tokens that do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from wse_emu.engines.moves import Ways, move_plan
from wse_emu.engines.semantics import due, stream_costs
from wse_emu.engines.step_times import BodyRecorder, Rows, StepTimes, step_list, step_times
from wse_emu.engines.timing import BodyClock, seam_delays
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Body, Call, Program, Routing, Transfer

Clocks = dict[Region, np.ndarray]


class Counted(Protocol):
    """What ran on a region."""

    @property
    def links(self) -> np.ndarray:
        """Wavelets that left every PE, int64 ``[E W N S, rows, cols]``."""
        ...


@dataclass(frozen=True, eq=False)
class TokenTiming:
    """One token: from the clocks it starts with to those it leaves."""

    cycles: int
    cycles_by_kernel: dict[str, int]
    """Growth of the latest clock while the kernel runs; sums to ``cycles``."""
    crossings: tuple[tuple[Region, Counted, int], ...]
    """(region, whose links are counted, how many calls had them)."""
    end: int
    """Which of the engine's remembered clock patterns the token leaves."""
    modelled_cycles: int | None = None
    """What the timing model says, where ``cycles`` are exact."""
    steps: StepTimes | None = None
    """Every step, where the engine was asked to record them."""
    routing: Routing = ()
    """Experts that the token met, where they have regions of their own."""


@dataclass
class _Run:
    """What one token gathers while it runs."""

    clocks: Clocks
    kernel_cycles: dict[str, int] = field(default_factory=dict)
    crossings: dict[tuple[Region, int], tuple[Counted, int]] = field(default_factory=dict)
    latest: int = 0
    steps: list[Rows] = field(default_factory=list)

    def spend(self, kernel: str, latest: int) -> None:
        self.kernel_cycles[kernel] = self.kernel_cycles.get(kernel, 0) + latest - self.latest
        self.latest = latest


class TimingEngine:
    """Times the tokens of one program on the wafer ``spec``, without data.

    With ``record`` every token comes with its :class:`StepTimes`.
    """

    def __init__(self, program: Program, spec: WaferSpec, *, record: bool = False) -> None:
        self.program, self.spec, self.record = program, spec, record
        self.mesh = Mesh.from_spec(spec, defects=program.defects)
        self._delays = (
            seam_delays(spec.column_seams, spec.seam_cycles, spec.columns),
            seam_delays(spec.row_seams, spec.seam_cycles, spec.rows),
        )
        regions = dict.fromkeys(call.region for call in program.calls)
        for region in regions:
            self.mesh.check_region(region, program.name)
        zero = {region: np.zeros((region.height, region.width), dtype=np.int64) for region in regions}
        self._patterns: dict[int, Clocks] = {0: zero}
        self._bodies: dict[tuple[Body, int, object], list[tuple[np.ndarray, BodyClock]]] = {}
        self._tokens: dict[tuple[int, int], TokenTiming] = {}
        self._rows = lru_cache(maxsize=2)(lambda routing: step_list(program.routed(routing)))
        self._heights = {call.region.height for call in program.calls}

    def token(self, position: int, start: int = 0, routing: Routing = ()) -> TokenTiming:
        """Time the token at ``position``; ``start`` is the clock pattern that the token before left (its ``end``).

        Where experts have regions of their own, ``routing`` says which of them the token meets; hardly two tokens meet
        the same ones, so nothing is kept of them but the last pattern, and the one that all start from.
        """
        (height,) = self._heights
        key = (position // height + 1, start)
        if self.program.experts:
            timing = self._run(*key, routing)
            self._patterns = {number: self._patterns[number] for number in (0, timing.end)}
            return timing
        if key not in self._tokens:
            self._tokens[key] = self._run(*key, ())
        return self._tokens[key]

    def clocks(self, timing: TokenTiming) -> np.ndarray:
        """Cycle at which each PE finishes, relative to the first to finish, ``[rows, columns]``; −1: unused."""
        out = np.full((self.spec.rows, self.spec.columns), -1, dtype=np.int64)
        for region, clock in self._patterns[timing.end].items():
            out[region.y : region.bottom, region.x : region.right] = clock
        return out

    def links(self, timings: list[TokenTiming]) -> np.ndarray:
        """Wavelets that left every PE in all these tokens, int64 ``[E W N S, rows, columns]``."""
        total = np.zeros((4, self.spec.rows, self.spec.columns), dtype=np.int64)
        counts: dict[int, tuple[TokenTiming, int]] = {}
        for timing in timings:
            counts[id(timing)] = (timing, counts.get(id(timing), (timing, 0))[1] + 1)
        for timing, tokens in counts.values():
            for region, ran, calls in timing.crossings:
                total[:, region.y : region.bottom, region.x : region.right] += ran.links * (tokens * calls)
        routings = Counter(timing.routing for timing in timings)
        for routing, tokens in routings.items():
            for move in self.program.routed(routing).steps:
                if isinstance(move, Transfer):
                    _count_move(total, move, self.mesh, tokens)
        return total

    def advance(self, steps: Sequence[Call | Transfer], clocks: Clocks, slots: int) -> int:
        """Move ``clocks`` on by some steps of a token, in place; the latest that any of them came to."""
        run = _Run(clocks, latest=max(int(clock.max()) for clock in clocks.values()))
        self._advance(run, steps, slots)
        return run.latest

    def _advance(self, run: _Run, steps: Sequence[Call | Transfer], slots: int) -> None:
        for step in steps:
            if isinstance(step, Call):
                self._call(run, step, slots)
            else:
                self._move(run, step)

    def _run(self, slots: int, start: int, routing: Routing) -> TokenTiming:
        run = _Run({region: clock.copy() for region, clock in self._patterns[start].items()})
        run.latest = begin = max(int(clock.max()) for clock in run.clocks.values())
        self._advance(run, self.program.routed(routing).steps, slots)
        return TokenTiming(
            run.latest - begin,
            run.kernel_cycles,
            tuple((region, ran, calls) for (region, _), (ran, calls) in run.crossings.items()),
            self._remember(run.clocks),
            steps=step_times(run.steps, self._rows(routing), slots, begin) if self.record else None,
            routing=routing,
        )

    def _call(self, run: _Run, call: Call, slots: int) -> None:
        clock = run.clocks[call.region]
        base = int(clock.min())
        body = self._body(call.body, slots, clock - base, call.region)
        before = run.latest
        clock[:] = body.clock
        clock += body.offset + base
        run.latest = max(before, int(clock.max()))
        _attribute(run, body.kernel_cycles, run.latest - before)
        if body.recorder:
            run.steps.append(body.recorder.rows(base))
        key = (call.region, id(body))
        run.crossings[key] = (body, run.crossings.get(key, (body, 0))[1] + 1)

    def _body(self, body: Body, slots: int, start: np.ndarray, region: Region) -> BodyClock:
        seams = self.spec.seams_in(region.x, region.y, region.width, region.height)
        known = self._bodies.setdefault((body, slots, seams), [])
        for before, clock in known:
            if np.array_equal(before, start):
                return clock
        clock = BodyClock(self.spec, body, start, slots, seams, recorder=BodyRecorder() if self.record else None)
        clock.run()
        known.append((start, clock))
        return clock

    def _move(self, run: _Run, move: Transfer) -> None:
        """Row i goes along y in a column of its own, then along row i; see :class:`wse_emu.program.Transfer`.

        Streams of rows that share a column are taken to follow each other there: an estimate. Where they share links
        on ways around defects, they are taken as if each had them alone.
        """
        source, clocks = run.clocks[move.source], [run.clocks[target] for target in move.targets]
        target = np.concatenate(clocks, axis=1)
        before = _Ends([source, *clocks]) if self.record else None
        costs = stream_costs(self.spec, move.value.dtype, combining=False)
        plan = move_plan(move.source, move.span, self.mesh)
        rows, columns = np.arange(move.source.height), plan.columns - move.source.x
        sharing = 1 if move.target.y == move.source.y else -(-move.source.height // move.source.width)
        sent = source[rows, columns] + costs.due(move.value.wavelets)
        waiting = due((sharing - 1) * move.value.wavelets, costs.interval)
        places = np.concatenate([np.arange(taking.x, taking.right) for taking in move.targets])
        across = places[None, :] - plan.entries[:, None]
        hops = np.abs(across) * costs.hop + self._seams_across(places, plan)
        along = plan.hops * costs.hop + self._seams_along(plan)
        moved = target + costs.due(move.value.wavelets) - hops
        np.maximum(moved, (sent + waiting + costs.ramp + along)[:, None], out=moved)
        rightwards = np.maximum.accumulate(np.where(across >= 0, moved, 0), axis=1)
        leftwards = np.maximum.accumulate(np.where(across <= 0, moved, 0)[:, ::-1], axis=1)[:, ::-1]
        source[rows, columns] = sent
        target = np.where(across >= 0, rightwards, leftwards) + hops + (costs.ramp + costs.receive)
        ends = np.cumsum([clock.shape[1] for clock in clocks])[:-1]
        for clock, part in zip(clocks, np.split(target, ends, axis=1), strict=True):
            clock[...] = part
        run.spend(move.kernel, max(run.latest, int(target.max())))
        if before is not None:
            run.steps.append(before.rows(costs.due(move.value.wavelets), _move_hops(move, plan)))

    def _seams_along(self, plan: Ways) -> np.ndarray | int:
        """What seams add to the way of each row up to its entry."""
        added: np.ndarray | int = 0
        for axis, delays in enumerate(self._delays):
            if delays is not None:
                added = added + np.abs(np.diff(delays[plan.corners[:, :, axis]], axis=1)).sum(axis=1)
        return added

    def _seams_across(self, places: np.ndarray, plan: Ways) -> np.ndarray | int:
        """What seams add to the way of each row from its entry to each of the columns ``places``."""
        delays = self._delays[0]
        if delays is None:
            return 0
        return np.asarray(np.abs(delays[places][None, :] - delays[plan.entries][:, None]))

    def _remember(self, clocks: Clocks) -> int:
        """The number of this clock pattern, taken relative to its earliest PE."""
        first = min(int(clock.min()) for clock in clocks.values())
        pattern = {region: clock - first for region, clock in clocks.items()}
        for index, known in self._patterns.items():
            if all(np.array_equal(known[region], clock) for region, clock in pattern.items()):
                return index
        index = max(self._patterns) + 1
        self._patterns[index] = pattern
        return index


class _Ends:
    """The clocks ``[rows, cols]`` of the region that sends and of those that receive, before a move changes them."""

    def __init__(self, clocks: list[np.ndarray]) -> None:
        self._clocks = clocks
        self._before = [(int(clock.max()), float(clock.mean())) for clock in clocks]

    def rows(self, busy: int, hops: int) -> Rows:
        """A row for each, that of the sender first; every PE that takes part is ``busy`` as long."""
        recorder = BodyRecorder()
        for number, (clock, (latest, mean)) in enumerate(zip(self._clocks, self._before, strict=True)):
            occupied = busy if number else busy * clock.shape[0] / clock.size
            idle = max(0.0, float(clock.mean()) - mean - occupied)
            recorder.add(latest, int(clock.max()), 0, 0 if number else hops, idle)
        return recorder.rows()


def _move_hops(move: Transfer, plan: Ways) -> int:
    """Wavelets of a move times the links that they cross: to each row's entry, and along the target's row."""
    first, last = move.span.x, move.span.right - 1
    along = np.maximum(last - plan.entries, 0) + np.maximum(plan.entries - first, 0)
    return int((plan.hops + along).sum()) * move.value.wavelets


def _count_move(links: np.ndarray, move: Transfer, mesh: Mesh, times: int) -> None:
    """Add a move's wavelets to ``links``: once to every link of each row's way, along the target's row as well."""
    wavelets = move.value.wavelets * times
    for legs in move_plan(move.source, move.span, mesh).legs(move.span):
        for leg in legs:
            links[leg.direction][leg.leaving] += wavelets


def _attribute(run: _Run, kernel_cycles: dict[str, int], growth: int) -> None:
    """Share the growth of the wafer's latest clock among the kernels of a body.

    It is the body's own unless the region started behind others; then the body's last kernels are those on the path.
    """
    for kernel, cycles in reversed(kernel_cycles.items()):
        counted = min(cycles, growth)
        run.kernel_cycles[kernel] = run.kernel_cycles.get(kernel, 0) + counted
        growth -= counted
    if growth and kernel_cycles:
        last = next(reversed(kernel_cycles))
        run.kernel_cycles[last] += growth
