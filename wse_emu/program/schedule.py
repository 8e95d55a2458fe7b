"""In which order each algorithm combines the values of a line: the meaning that all engines share.

A schedule is a list of phases. In a phase, disjoint *arms* of PEs pass a value from the far end towards the PE at the
arm's head, each combining what arrives with what it holds: ``((v0 + v1) + v2) + …``. An arm's PEs lie at equal
distances, and so do the arms of a phase, so positions are ``first + arm · arm_step + i · step``.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import isqrt

from wse_emu.errors import WseError
from wse_emu.program.reduce_tree import best_tree, tree_arms

ALGORITHMS = ("chain", "two_way", "tree", "two_phase", "ktree", "star", "autogen", "auto")
_WITH_NUMBER = ("ktree", "autogen")


@dataclass(frozen=True)
class Phase:
    """``arms`` equal chains of ``length`` PEs; PE i of arm a is at ``first + a·arm_step + i·step``, the head last.

    An arm whose PEs lie at unequal distances has them in ``places``, and is alone.
    """

    first: int
    step: int
    length: int
    arms: int = 1
    arm_step: int = 0
    places: tuple[int, ...] = ()

    @staticmethod
    def through(places: tuple[int, ...]) -> "Phase":
        """One arm through ``places``, far end first."""
        steps = {after - before for before, after in pairwise(places)} or {1}
        if len(steps) == 1:
            return Phase(places[0], steps.pop(), len(places))
        return Phase(places[0], 0, len(places), places=places)

    @property
    def head(self) -> int:
        """Where the first arm ends."""
        return self.places[-1] if self.places else self.first + (self.length - 1) * self.step

    @cached_property
    def slice(self) -> "slice | list[int]":
        """The first arm as an index of the line."""
        if self.places:
            return list(self.places)
        stop = self.first + self.length * self.step
        return slice(self.first, stop if stop >= 0 else None, self.step)

    def positions(self) -> tuple[tuple[int, ...], ...]:
        """Positions along the line, one tuple an arm, far end first."""
        if self.places:
            return (self.places,)
        return tuple(
            tuple(self.first + arm * self.arm_step + i * self.step for i in range(self.length))
            for arm in range(self.arms)
        )


@dataclass(frozen=True)
class Schedule:
    """The phases of one algorithm on a line of ``extent`` PEs; the result ends at position ``root``."""

    algorithm: str
    extent: int
    phases: tuple[Phase, ...]
    root: int
    nested: bool = False
    """Whether arms lie within the reach of others: then every message needs a channel of its own."""


@lru_cache(maxsize=4096)
def schedule(algorithm: str, extent: int) -> Schedule:
    """The schedule of ``algorithm`` on ``extent`` PEs.

    ``ktree:4`` asks for four groups, ``autogen:64`` for the tree that is best for 64 wavelets a PE.
    Raises WseError for an unknown algorithm or an impossible number.
    Sources: star, chain, tree, two_phase, autogen: Luczynski et al., HPDC 2024 (arXiv 2404.15888), section 5;
    two_way and ktree: WaferLLM, OSDI 2025 (arXiv 2502.04563), section 6, K = 2.
    """
    name, _, argument = algorithm.partition(":")
    wrong = bool(argument) and (name not in _WITH_NUMBER or not argument.isdecimal() or not 0 < int(argument) < 2**31)
    if wrong or name not in {*_BUILDERS, *_WITH_NUMBER}:
        works = f"{', '.join(ALGORITHMS)}, ktree:GROUPS, autogen:WAVELETS"
        raise WseError(f"unknown reduction algorithm {algorithm!r}; what works: {works}")
    if name == "autogen":
        phases, root = [Phase.through(arm) for arm in tree_arms(best_tree(extent, int(argument or 1)))], 0
    elif name == "ktree":
        groups = int(argument) if argument else max(1, isqrt(extent) // 2)
        phases, root = _ktree(extent, min(groups, extent))
    else:
        phases, root = _BUILDERS[name](extent)
    kept = tuple(phase for phase in phases if phase.length > 1 and phase.arms > 0)
    return Schedule(algorithm, extent, kept, root, nested=name in {"star", "autogen"})


def candidates(extent: int) -> tuple[str, ...]:
    """What `auto` chooses from."""
    groups = tuple(f"ktree:{n}" for n in (2, 4, 8, 16, 32) if 2 * n <= extent)
    return ("chain", "two_way", "tree", "two_phase", *groups)


def _chain(extent: int) -> tuple[list[Phase], int]:
    return [Phase(extent - 1, -1, extent)], 0


def _star(extent: int) -> tuple[list[Phase], int]:
    """Everybody sends to the first PE, which takes the nearest first."""
    return [Phase(place, -place, 2) for place in range(1, extent)], 0


def _two_way(extent: int, spacing: int = 1, offset: int = 0) -> tuple[list[Phase], int]:
    """Both halves run to the middle; the root takes the right one first, which is no longer than the left one."""
    middle = extent // 2
    root = offset + middle * spacing
    left = Phase(offset, spacing, middle + 1)
    right = Phase(offset + (extent - 1) * spacing, -spacing, extent - middle)
    return [right, left], root


def _tree(extent: int) -> tuple[list[Phase], int]:
    phases, distance = [], 1
    while distance < extent:
        pairs = (extent - distance + 2 * distance - 1) // (2 * distance)
        phases.append(Phase(distance, -distance, 2, pairs, 2 * distance))
        distance *= 2
    return phases, 0


def _two_phase(extent: int) -> tuple[list[Phase], int]:
    """Groups of √P chain into their first PE, then the first PEs chain."""
    size = max(1, isqrt(extent))
    full, rest = divmod(extent, size)
    leaders = full + (rest > 0)
    groups = [Phase(size - 1, -1, size, full, size), Phase(extent - 1, -1, rest)]
    return [*groups, Phase((leaders - 1) * size, -size, leaders)], 0


def _ktree(extent: int, groups: int) -> tuple[list[Phase], int]:
    """Two levels: `two_way` inside each group, then `two_way` over the groups' middles.

    A remainder too short to reach a middle of its own joins the last group.
    """
    size = -(-extent // groups)
    middle = size // 2
    count = (extent - 1 - middle) // size + 1
    last = (count - 1) * size + middle
    left = Phase(0, 1, middle + 1, count, size)
    right = Phase(size - 1, -1, size - middle, count - 1, size)
    tail = Phase(extent - 1, -1, extent - last)
    upper, root = _two_way(count, size, middle)
    return [right, tail, left, *upper], root


_BUILDERS = {"chain": _chain, "two_way": _two_way, "tree": _tree, "two_phase": _two_phase, "star": _star}
