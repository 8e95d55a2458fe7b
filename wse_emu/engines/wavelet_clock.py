"""The timing of whole tokens by the wavelet engine: cycle-exact, every router and PE of the program's regions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from wse_emu.engines.assembly import assemble
from wse_emu.engines.code import FabricProgram
from wse_emu.engines.step_times import StepTimes
from wse_emu.engines.wafer_clock import TimingEngine, TokenTiming
from wse_emu.engines.wavelet import Machine, Outcome
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Program, Routing

Progress = Callable[[int, int], None]
"""(cycles done, cycles that the timing model expects)"""


class Kept(Protocol):
    """Keeps what the machine found for a token, by its cache slots and the number of its first clock pattern."""

    def get(self, slots: int, start: int, /) -> Outcome | None: ...
    def put(self, slots: int, start: int, outcome: Outcome, /) -> None: ...


class WaveletClock:
    """Times tokens as :class:`wse_emu.engines.wafer_clock.TimingEngine` does, and compares with it.

    Tokens with equally many cache slots that start from the same clocks are run once. A ``recorder`` gets the first
    run; with ``record`` every token comes with its :class:`StepTimes`. What ``kept`` has of the same program is not
    run again.
    """

    def __init__(
        self,
        program: Program,
        spec: WaferSpec,
        progress: Progress | None = None,
        recorder: Recorder | None = None,
        *,
        record: bool = False,
        kept: Kept | None = None,
    ) -> None:
        self.program, self.spec, self._progress, self.recorder = program, spec, progress, recorder
        self.model = TimingEngine(program, spec, record=record)
        self._kept = None if program.experts else kept  # hardly two tokens meet the same experts
        (self._height,) = {call.region.height for call in program.calls}
        self._patterns: list[tuple[np.ndarray | None, int]] = [(None, 0)]
        self._fabric: dict[tuple[int, Routing], FabricProgram] = {}
        self._tokens: dict[tuple[int, int, Routing], TokenTiming] = {}
        self.recorded: tuple[FabricProgram, Outcome] | None = None

    def token(self, position: int, start: int = 0, routing: Routing = ()) -> TokenTiming:
        """Time the token at ``position``; ``start`` is the clock pattern that the token before left (its ``end``).

        ``routing`` says which experts it meets, where these have regions of their own.
        """
        key = (position // self._height + 1, start, routing if self.program.experts else ())
        if key not in self._tokens:
            self._tokens[key] = self._run(*key, position)
        return self._tokens[key]

    def clocks(self, timing: TokenTiming) -> np.ndarray:
        """Cycle at which each PE finishes, relative to the first to finish, ``[rows, columns]``; −1: unused."""
        program = next(iter(self._fabric.values()))
        out = np.full((self.spec.rows, self.spec.columns), -1, dtype=np.int64)
        clock, _ = self._patterns[timing.end]
        assert clock is not None
        x, y = program.corner
        out[y : y + program.rows, x : x + program.cols] = np.where(program.starts >= 0, clock, -1)
        return out

    def links(self, timings: list[TokenTiming]) -> np.ndarray:
        """Wavelets that left every PE in all these tokens, int64 ``[E W N S, rows, columns]``."""
        total = np.zeros((4, self.spec.rows, self.spec.columns), dtype=np.int64)
        for timing in timings:
            for region, ran, calls in timing.crossings:
                total[:, region.y : region.bottom, region.x : region.right] += ran.links * calls
        return total

    def _run(self, slots: int, start: int, routing: Routing, position: int) -> TokenTiming:
        if (slots, routing) not in self._fabric:
            self._fabric[slots, routing] = assemble(self.program, self.spec, slots, routing)
        program = self._fabric[slots, routing]
        before, modelled_start = self._patterns[start]
        modelled = self.model.token(position, modelled_start, routing)
        begin = 0 if before is None else int(before[program.starts >= 0].max())
        outcome = self._outcome(slots, start, program, begin + modelled.cycles)
        return TokenTiming(
            outcome.cycles - begin,
            cycles_by_kernel(program, outcome, begin),
            ((Region(*program.corner, program.cols, program.rows), outcome, 1),),
            self._remember(outcome.clock, program, modelled.end),
            modelled.cycles,
            modelled.steps and exact_steps(modelled.steps, program, outcome, before),
            routing,
        )

    def _outcome(self, slots: int, start: int, program: FabricProgram, expected: int) -> Outcome:
        """What the machine finds, or found before."""
        recorder = self.recorder if self.recorded is None else None
        outcome = self._kept.get(slots, start) if self._kept is not None and recorder is None else None
        if outcome is not None:
            return outcome
        outcome = Machine(program, self._patterns[start][0], recorder=recorder).run(self._shown(expected))
        if recorder is not None:
            self.recorded = program, outcome
        if self._kept is not None:
            self._kept.put(slots, start, outcome)
        return outcome

    def _shown(self, expected: int) -> Callable[[int], None] | None:
        progress = self._progress
        return None if progress is None else lambda time: progress(time, expected)

    def _remember(self, clock: np.ndarray, program: FabricProgram, modelled: int) -> int:
        """The number of this clock pattern, taken relative to its earliest PE."""
        relative = clock - clock[program.starts >= 0].min()
        for index, (known, model) in enumerate(self._patterns):
            if known is not None and model == modelled and np.array_equal(known, relative):
                return index
        self._patterns.append((relative, modelled))
        return len(self._patterns) - 1


def cycles_by_kernel(program: FabricProgram, outcome: Outcome, begin: int) -> dict[str, int]:
    """Growth of the latest clock from ``begin`` on, block after block as they are done; sums to the token's cycles."""
    found: dict[str, int] = {}
    latest = begin
    for place, time in sorted(outcome.blocks.items(), key=lambda item: (item[1], item[0])):
        growth = max(0, time - latest)
        latest += growth
        parts = program.code.parts[place]
        total = sum(parts.values())
        shares = [growth * part // total for part in parts.values()]
        shares[-1] += growth - sum(shares)
        for kernel, share in zip(parts, shares, strict=True):
            found[kernel] = found.get(kernel, 0) + share
    return found


def exact_steps(modelled: StepTimes, program: FabricProgram, outcome: Outcome, before: np.ndarray | None) -> StepTimes:
    """The rows of a token with the cycles of ``outcome``; the machine began with the clocks ``before``.

    Local steps in a row are one block of the machine; its cycles are those of its steps, one after another.
    """
    rows, ends = modelled.rows, _step_ends(program, outcome)
    x, y = program.corner
    latest = {
        region: 0
        if before is None
        else int(before[region.y - y : region.bottom - y, region.x - x : region.right - x].max())
        for region in dict.fromkeys(rows.region)
    }
    begin = max(latest.values())
    start, end = np.zeros((2, len(rows)), dtype=np.int64)
    for i, (call, step, region) in enumerate(zip(rows.call.tolist(), rows.step.tolist(), rows.region, strict=True)):
        start[i] = latest[region]
        end[i] = latest[region] = max(latest[region], ends.get((call, step), 0))
    return replace(modelled, begin=begin, start=start, end=end, idle=np.full(len(rows), np.nan))


def _step_ends(program: FabricProgram, outcome: Outcome) -> dict[tuple[int, int], int]:
    """By (index in the program, index in the body): the cycle in which the last PE was done with it."""
    ends: dict[tuple[int, int], int] = {}
    for place, sources in program.code.sources.items():
        left = sum(cycles for _, _, cycles in sources)
        for call, step, cycles in sources:
            left -= cycles
            ends[call, step] = outcome.blocks.get(place, 0) - left
    return ends
