"""Dead PEs and dead links."""

from dataclasses import dataclass

import numpy as np

from wse_emu.errors import WseError

PE = tuple[int, int]


@dataclass(frozen=True)
class Defects:
    """PEs (x, y) that do not work, and links between neighbours that carry nothing, in neither direction."""

    pes: frozenset[PE] = frozenset()
    links: frozenset[frozenset[PE]] = frozenset()

    @classmethod
    def of(cls, pes: list[PE] | None = None, links: list[tuple[PE, PE]] | None = None) -> "Defects":
        """Defects from plain lists; WseError if a link does not join neighbours."""
        for (ax, ay), (bx, by) in links or []:
            if abs(ax - bx) + abs(ay - by) != 1:
                raise WseError(f"dead link ({ax},{ay})-({bx},{by}): a link joins neighbours, one apart along x or y")
        return cls(frozenset(pes or []), frozenset(frozenset(link) for link in links or []))

    @classmethod
    def random(cls, columns: int, rows: int, rate: float, seed: int) -> "Defects":
        """Every PE of a mesh dead with probability ``rate``, independently; WseError outside 0 to 1."""
        if not 0 <= rate <= 1:
            raise WseError(f"defect rate {rate:g}: 0 to 1 works")
        dead = np.argwhere(np.random.default_rng(seed).random((rows, columns)) < rate)
        return cls(frozenset((int(x), int(y)) for y, x in dead))

    def has_link(self, a: PE, b: PE) -> bool:
        """Whether the link between the neighbours ``a`` and ``b`` is dead."""
        return bool(self.links) and frozenset((a, b)) in self.links
