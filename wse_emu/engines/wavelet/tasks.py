"""Tasks: activated ones and those that wavelets start, dispatched by PEs that have nothing else to do."""

from collections.abc import Callable

import numpy as np

from wse_emu.engines.code import FabricProgram
from wse_emu.engines.wavelet.payload import CONTROL, Payloads
from wse_emu.engines.wavelet.planes import Grid, Plane, has

Dispatch = Callable[[int, np.ndarray, np.ndarray], None]
"""A task begins: the cycle of its first instruction, the PEs, the places in the script."""


def chosen(seed: int, pe: int, number: int, ready: int) -> int:
    """Which of ``ready`` activated tasks the PE runs at its dispatch ``number``: a seeded hash."""
    return ((seed * 0x9E3779B1 + pe * 0x85EBCA77 + number * 0xC2B2AE3D) & 0xFFFFFFFF) % ready


class Tasks:
    """Which PEs are idle, and what waits to run on each."""

    def __init__(self, program: FabricProgram, grid: Grid, payloads: Payloads, seed: int, start: Dispatch) -> None:
        self.program, self.grid, self.payloads, self.seed, self._start = program, grid, payloads, seed, start
        self._set = np.full(grid.bits, -1, dtype=np.int64)
        task_set = program.task_sets
        rows, cols = np.nonzero(task_set >= 0)
        self._set[rows * grid.stride + cols] = task_set[rows, cols]
        self._active: dict[int, set[int]] = {}
        self._dispatched = np.zeros(grid.bits, dtype=np.int64)
        self._idle = grid.zeros()
        self._look: list[np.ndarray] = []
        self.bound: dict[int, Plane] = {}
        for table in (program.on_data, program.on_control):
            for number, color in table:
                pes = self.grid.mask(np.flatnonzero(self._set == number))
                self.bound[color] = self.bound.get(color, grid.zeros()) | pes

    def activate(self, task: int, pes: np.ndarray) -> None:
        """``task`` is to run on ``pes``."""
        for pe in pes.tolist():
            self._active.setdefault(pe, set()).add(task)
        self._look.append(pes)

    def idle(self, pes: np.ndarray) -> None:
        """``pes`` have nothing to run."""
        self._idle |= self.grid.mask(pes)
        self._look.append(pes)

    def dispatch(self, time: int) -> None:
        """Idle PEs begin tasks that have been activated; called when all that happens at ``time`` has happened."""
        if not self._look:
            return
        pes = np.unique(np.concatenate(self._look))
        self._look = []
        for pe in pes[has(self._idle, pes)].tolist():
            if ready := sorted(self._active.get(pe, ())):
                flat = pe // self.grid.stride * self.program.cols + pe % self.grid.stride
                task = ready[chosen(self.seed, flat, int(self._dispatched[pe]), len(ready))]
                self._dispatched[pe] += 1
                self._active[pe].discard(task)
                self._begin(time, np.array([pe]), task)

    def _begin(self, time: int, pes: np.ndarray, task: int) -> None:
        self._idle &= ~self.grid.mask(pes)
        places = np.array([self.program.tasks[number][task] for number in self._set[pes]], dtype=np.int64)
        self._start(time + self.program.spec.task_cycles, pes, places)

    def take(self, time: int, heads: Plane) -> Plane:
        """Idle PEs take wavelets that start tasks, of the lowest color that has any; ``[colors, words]``."""
        taken = np.zeros_like(heads)
        for color in sorted(self.bound):
            for pe in self.grid.members(heads[color] & self._idle & self.bound[color]).tolist():
                word = self.payloads.into.head(color, np.array([pe]))[0]
                table, mask = (self.program.on_control, 0xFF) if word >= CONTROL else (self.program.on_data, 0xFFFFFFFF)
                number = int(self._set[pe])
                if (task := table.get((number, color))) is None:
                    continue
                self.payloads.into.pop(color, np.array([pe]))
                if (address := self.program.arguments.get((number, color))) is not None:
                    self.payloads.memory[pe, address] = int(word) & mask
                taken[color, pe >> 6] |= np.uint64(1) << np.uint64(pe & 63)
                self._begin(time, np.array([pe]), task)
        return taken
