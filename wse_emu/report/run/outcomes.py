"""exact-SLOTS-START.npz: what the wavelet engine found, kept while a decode is under way.

A token takes it seconds to minutes; a decode that goes on need not run those again that it had already.
"""

from pathlib import Path

import numpy as np

from wse_emu.engines.wavelet import Outcome
from wse_emu.errors import WseError
from wse_emu.report.run.arrays import write_arrays
from wse_emu.report.run.reader import load_arrays

PATTERN = "exact-*.npz"
NUMBERS = ("cycles", "stepped", "crowded", "left_over")


class KeptOutcomes:
    """Outcomes in the folder of a decode, by cache slots and the clock pattern that the token began with."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def get(self, slots: int, start: int) -> Outcome | None:
        """What was kept; None if nothing was, or if it cannot be read."""
        path = self._path(slots, start)
        if not path.exists():
            return None
        try:
            held = load_arrays(path)
            cycles, stepped, crowded, left_over = (int(number) for number in held["numbers"])
            blocks = {int(place): int(time) for place, time in held["blocks"]}
            return Outcome(held["clock"], held["links"], cycles, stepped, crowded, left_over, blocks)
        except (WseError, KeyError, ValueError, TypeError):
            return None

    def put(self, slots: int, start: int, outcome: Outcome) -> None:
        """Keep ``outcome``."""
        blocks = np.array(list(outcome.blocks.items()), dtype=np.int64).reshape(-1, 2)
        numbers = np.array([getattr(outcome, name) for name in NUMBERS], dtype=np.int64)
        held = {"clock": outcome.clock, "links": outcome.links, "blocks": blocks, "numbers": numbers}
        write_arrays(self._path(slots, start), held)

    def _path(self, slots: int, start: int) -> Path:
        return self._out / f"exact-{slots}-{start}.npz"


def clear_outcomes(out: Path) -> None:
    """Take away what a decode kept in ``out``."""
    for path in out.glob(PATTERN):
        path.unlink(missing_ok=True)
