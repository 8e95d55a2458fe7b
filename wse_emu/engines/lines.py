"""What the engines share about lines of PEs: arms as views, wavelets per link, the interleaved ring."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wse_emu.program.schedule import Phase, schedule


def arms(held: np.ndarray, phase: Phase) -> np.ndarray:
    """The arms of ``phase`` in ``held`` ``[line, …]``, as a view ``[arms, length, …]``."""
    step = held.strides[0]
    return np.lib.stride_tricks.as_strided(
        held[phase.first :],
        (phase.arms, phase.length, *held.shape[1:]),
        (phase.arm_step * step, phase.step * step, *held.strides[1:]),
    )


@dataclass(frozen=True, eq=False)
class Crossings:
    """How often streams cross the links of a line: ``forward[p]`` leaves p towards p+1, ``backward[p]`` towards p−1."""

    forward: np.ndarray
    backward: np.ndarray

    def add(self, start: int, stop: int) -> None:
        """Count one stream from position ``start`` to ``stop``."""
        if stop > start:
            self.forward[start:stop] += 1
        else:
            self.backward[stop + 1 : start + 1] += 1


def _none(extent: int) -> Crossings:
    return Crossings(np.zeros(extent, dtype=np.int64), np.zeros(extent, dtype=np.int64))


@lru_cache(maxsize=1024)
def reduce_crossings(algorithm: str, extent: int) -> Crossings:
    """Link crossings of a reduction's streams; each arm covers its stretch of the line once."""
    crossings = _none(extent)
    for phase in schedule(algorithm, extent).phases:
        for arm in range(phase.arms):
            crossings.add(phase.first + arm * phase.arm_step, phase.head + arm * phase.arm_step)
    return crossings


@lru_cache(maxsize=1024)
def broadcast_crossings(root: int, extent: int) -> Crossings:
    """Link crossings of one multicast stream from ``root`` to both ends."""
    crossings = _none(extent)
    crossings.add(root, extent - 1)
    crossings.add(root, 0)
    return crossings


@lru_cache(maxsize=256)
def ring(extent: int) -> np.ndarray:
    """Positions in ring order, interleaved: 0, 2, 4, … 5, 3, 1; neighbours are at most two hops apart."""
    positions = np.arange(extent)
    return np.concatenate([positions[::2], positions[1::2][::-1]])


@lru_cache(maxsize=256)
def sources(extent: int, distance: int) -> np.ndarray:
    """For every position, the position whose block a shift by ``distance`` brings there."""
    order = ring(extent)
    source = np.empty(extent, dtype=np.int64)
    source[order] = np.roll(order, distance)
    return source


@lru_cache(maxsize=256)
def shift_crossings(extent: int, distance: int) -> Crossings:
    """Link crossings of a cyclic shift: ``distance`` times one step around the ring."""
    crossings = _none(extent)
    if extent > 1:
        for target, source in enumerate(sources(extent, 1 if distance > 0 else -1).tolist()):
            crossings.add(source, target)
    crossings.forward[:] *= abs(distance)
    crossings.backward[:] *= abs(distance)
    return crossings
