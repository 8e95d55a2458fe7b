"""What happened when: moves of wavelets and waits, gathered while a machine runs, up to a limit."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wse_emu.engines.wavelet.planes import Grid, Plane

if TYPE_CHECKING:
    from wse_emu.engines.wavelet.engine import Machine


class Watcher(Protocol):
    """Looks on while a machine runs."""

    def note(self, time: int, machine: "Machine", moved: Plane, taken: Plane, sent: Plane) -> None:
        """One cycle: what the routers moved, and what instructions took and sent, ``[live, words]``."""


@dataclass
class Recorder:
    """Rows of (cycle, PE's bit, color) for moves, and the same for heads that begin and end to wait."""

    limit: int
    """Rows in all; later ones are left out, and :attr:`cut` says from which cycle on."""
    cut: int | None = None
    rows: int = 0
    moves: list[np.ndarray] = field(default_factory=list)
    own: list[np.ndarray] = field(default_factory=list)
    """Those of the moves by which a wavelet leaves its own PE's queue; they do not count as rows."""
    waits: list[np.ndarray] = field(default_factory=list)
    ends: list[np.ndarray] = field(default_factory=list)
    grid: Grid | None = None
    _waiting: dict[int, Plane] = field(default_factory=dict)

    def note(self, time: int, machine: "Machine", moved: Plane, taken: Plane, sent: Plane) -> None:  # noqa: ARG002
        """One cycle of ``machine``; planes ``[live, words]``."""
        if self.cut is not None:
            return
        self.grid = grid = machine.grid
        stays = machine.fabric.heads & ~moved
        for place, color in enumerate(machine.fabric.bank.active):
            before = self._waiting.get(color)
            if before is None:
                before = np.zeros_like(stays[place])
            self._add(self.moves, time, color, grid.members(moved[place]))
            self._add(self.own, time, color, grid.members(machine.fabric.own_moved[place]), counts=False)
            self._add(self.waits, time, color, grid.members(stays[place] & ~before))
            self._add(self.ends, time, color, grid.members(before & ~stays[place]))
            self._waiting[color] = stays[place].copy()
        if self.rows > self.limit:
            self.cut = time

    def _add(self, to: list[np.ndarray], time: int, color: int, pes: np.ndarray, *, counts: bool = True) -> None:
        if pes.size:
            to.append(np.stack([np.full_like(pes, time), pes, np.full_like(pes, color)], axis=1))
            self.rows += len(pes) if counts else 0

    @staticmethod
    def table(parts: list[np.ndarray]) -> np.ndarray:
        """All rows, int64 ``[rows, 3]``."""
        return np.concatenate(parts) if parts else np.zeros((0, 3), dtype=np.int64)
