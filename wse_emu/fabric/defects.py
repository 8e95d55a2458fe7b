"""Dead PEs and dead links."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from wse_emu.errors import WseError

PE = tuple[int, int]
CLUSTER_RADIUS = 2.0
"""Standard deviation in PEs of the blobs of clustered defects: chosen, no map of a wafer's defects is public."""


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
    def of_mask(cls, dead: np.ndarray) -> "Defects":
        """The PEs where ``dead``, boolean ``[rows, columns]``, is true; WseError for an array of another kind."""
        if dead.ndim != 2 or dead.dtype != np.bool_:
            raise WseError(f"dead PEs as {dead.dtype} of shape {dead.shape}: booleans [rows, columns] work")
        return cls(frozenset((int(x), int(y)) for y, x in np.argwhere(dead)))

    @classmethod
    def random(cls, columns: int, rows: int, rate: float, seed: int, *, clustered: bool = False) -> "Defects":
        """Dead PEs at ``rate``, the same for the same seed.

        Each independently with that probability; or, ``clustered``, just ``round(rate * columns * rows)`` of them in
        blobs, where a smoothed random field is highest. Raises WseError outside 0 to 1.
        """
        if not 0 <= rate <= 1:
            raise WseError(f"defect rate {rate:g}: 0 to 1 works")
        field = np.random.default_rng(seed).random((rows, columns))
        if not clustered:
            return cls.of_mask(field < rate)
        smooth = gaussian_filter(field, CLUSTER_RADIUS, mode="reflect")
        dead = np.zeros(field.shape, np.bool_)
        dead.flat[np.argsort(-smooth, axis=None, kind="stable")[: round(rate * columns * rows)]] = True
        return cls.of_mask(dead)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.pes or self.links)

    def __str__(self) -> str:
        return f"{_count(len(self.pes), 'dead PE')} and {_count(len(self.links), 'dead link')}"

    def mask(self, columns: int, rows: int) -> np.ndarray:
        """Boolean ``[rows, columns]``, true where a PE is dead."""
        dead = np.zeros((rows, columns), np.bool_)
        for x, y in self.pes:
            dead[y, x] = True
        return dead

    def cuts(self, a: PE, b: PE) -> bool:
        """Whether the link between the neighbours ``a`` and ``b`` is dead."""
        return bool(self.links) and frozenset((a, b)) in self.links


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


WORKS = 'a rate from 0 to 1, clustered:RATE, or a JSON file {"pes": [[x, y], …], "links": [[[x, y], [x, y]], …]} works'


def read_defects(text: str, columns: int, rows: int) -> Defects:
    """Defects of ``columns`` × ``rows`` PEs as a user names them: a rate, ``clustered:RATE``, or a file; seed 0.

    Raises WseError, with what works, for anything else, and for defects off the mesh.
    """
    kind, _, rest = text.rpartition(":")
    try:
        rate = float(rest if kind == "clustered" else text)
    except ValueError:
        return _from_file(text, columns, rows)
    return Defects.random(columns, rows, rate, 0, clustered=kind == "clustered")


def _from_file(name: str, columns: int, rows: int) -> Defects:
    try:
        held = json.loads(Path(name).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "no JSON"
        raise WseError(f"defects {name}: {why}; {WORKS}") from None
    if not isinstance(held, dict) or not held.keys() <= {"pes", "links"}:
        raise WseError(f"defects {name}: not an object of pes and links; {WORKS}")
    pes, links = held.get("pes", []), held.get("links", [])
    if not (isinstance(pes, list) and isinstance(links, list)):
        raise WseError(f"defects {name}: pes or links is no list; {WORKS}")
    for link in links:
        if not (isinstance(link, list) and len(link) == 2):
            raise WseError(f"defects {name}: link {json.dumps(link)[:60]} is no pair of PEs; {WORKS}")
    size = (columns, rows)
    return Defects.of([_pe(pe, name, size) for pe in pes], [(_pe(a, name, size), _pe(b, name, size)) for a, b in links])


def _pe(held: Any, name: str, size: tuple[int, int]) -> PE:
    if not (isinstance(held, list) and len(held) == 2 and all(type(place) is int for place in held)):
        raise WseError(f"defects {name}: PE {json.dumps(held)[:60]} is no [x, y]; {WORKS}")
    x, y = held
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        raise WseError(
            f"defects {name}: PE ({x}, {y}) is off the mesh of {size[0]}×{size[1]} PEs; columns 0 to {size[0] - 1} and "
            f"rows 0 to {size[1] - 1} work"
        )
    return x, y
