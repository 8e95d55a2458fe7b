"""Choosing the shape of a region: the fewest cycles that the timing model predicts, among the shapes that fit."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np

from wse_emu.errors import WseError
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.kernels.decoder import inner_columns
from wse_emu.mappings.fit import too_large
from wse_emu.mappings.plan import Request
from wse_emu.program import Program, memory

Programmer = Callable[[Request, int, int, int], Program]
"""(request, rows, columns, columns that share a key-value head) -> the program of one token."""

Room = Callable[[int, int], bool]
Looked = tuple[int, ...]
"""What is said of a shape, the most important first, less is better; at its end rows, columns, shared columns."""


def _anywhere(_rows: int, _cols: int) -> bool:
    return True


CANDIDATES = 14
"""Extents tried along each axis."""
COARSE = 3
"""Of these, every so many at first."""
NEIGHBOURS = [(a, b) for a in (-2, -1, 0, 1, 2) for b in (-2, -1, 0, 1, 2) if abs(a + b) < 2 or max(a, b, -a, -b) < 2]
FEW = 3
"""Best shapes whose neighbours are looked at."""


def _check_shape(request: Request, rows: int, cols: int) -> None:
    """WseError if a region of that shape is empty or larger than the wafer."""
    if rows < 1 or cols < 1:
        raise WseError(f"a region of {rows} rows × {cols} columns is empty; at least 1×1 works")
    Mesh.from_spec(request.spec).check_region(Region(0, 0, cols, rows), "the model")


def best_shape(request: Request, program: Programmer, what: str, room: Room = _anywhere) -> tuple[int, int, int]:
    """(rows, columns, columns that share a head) with the fewest cycles at half the context, or close to it.

    ``room`` says which shapes the wafer has room for. Raises WseError with what would fit when no shape does.
    """
    if request.shape is not None:
        rows, cols = request.shape
        _check_shape(request, rows, cols)
        grid = [rows], [cols]
    else:
        config, spec = request.config, request.spec
        grid = extents(config.hidden, spec.rows), extents(config.narrowest, spec.columns)
    crowded: list[tuple[int, int]] = []

    def look(rows: int, cols: int) -> Looked | None:
        inner = inner_columns(request.config, cols)[-1]
        made = program(request, rows, cols, inner)
        if not memory(made, request.spec).fits:
            return None
        if not room(rows, cols):
            crowded.append((rows, cols))
            return None
        return _cycles(request, made), rows, cols, inner

    fitting = search_shapes(*grid, look)
    if not fitting and crowded:
        raise _no_room(request, what, *min(crowded, key=lambda shape: shape[0] * shape[1]))
    if not fitting:
        rows, cols = grid[0][-1], grid[1][-1]
        raise too_large(request, program(request, rows, cols, inner_columns(request.config, cols)[-1]), what)
    return min(_finalists(request, program, fitting[:3]))[1:]


def search_shapes(rows: list[int], cols: list[int], look: Callable[[int, int], Looked | None]) -> list[Looked]:
    """What ``look`` (rows, columns) says of the shapes that it is asked for, the best first; None: it does not fit.

    A coarse grid, then the neighbours of the best for as long as that helps, those further along the line of equal
    area among them, on which what just fits lies; all shapes where nothing fits so.
    """
    known: dict[tuple[int, int], Looked | None] = {}

    def ask(places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Looked]:
        inside = [(i, j) for i, j in places if 0 <= i < len(rows) and 0 <= j < len(cols)]
        known.update({(i, j): look(rows[i], cols[j]) for i, j in inside if (i, j) not in known})
        return {place: one for place in inside if (one := known[place]) is not None}

    found = ask((i, j) for i in _every(COARSE, len(rows)) for j in _every(COARSE, len(cols)))
    found = found or ask((i, j) for i in range(len(rows)) for j in range(len(cols)))
    best: list[tuple[int, int]] = []
    while best != (new := sorted(found, key=lambda place: found[place])[:FEW]):
        best = new
        found |= ask((i + a, j + b) for i, j in best for a, b in NEIGHBOURS)
    return sorted(found.values())


def _every(step: int, count: int) -> list[int]:
    """Every so many places of ``count``, the last among them."""
    return sorted({*range(0, count, step), count - 1})


def _no_room(request: Request, what: str, rows: int, cols: int) -> WseError:
    """Regions of ``rows`` × ``cols``, the smallest that hold the model, find no room among defects or each other."""
    name, widest = request.spec.name, request.room.widest(rows)
    if widest < cols:
        return WseError(
            f"{what}: {name} with {request.defects} has no {rows} rows × {cols} columns without a defect, at most "
            f"{widest} columns of that height; fewer defects, or a larger wafer, work"
        )
    if request.defects:
        return WseError(
            f"{what}: {name} with {request.defects} has no room for so many; fewer defects, or the mapping `shared` "
            "where it fits, work"
        )
    return WseError(f"{what}: {name} has no room for so many; the mapping `shared`, or a larger wafer, works")


def _finalists(request: Request, program: Programmer, best: list[Looked]) -> Iterator[tuple[int, int, int, int]]:
    """The best shapes with every number of columns that a head may be spread over."""
    for cycles, rows, cols, inner in best:
        yield cycles, rows, cols, inner
    for _, rows, cols, _ in best:
        for inner in inner_columns(request.config, cols)[:-1]:
            made = program(request, rows, cols, inner)
            if memory(made, request.spec).fits:
                yield _cycles(request, made), rows, cols, inner


def _cycles(request: Request, program: Program) -> int:
    return request.estimator.program_cycles(program, request.at)


@lru_cache(maxsize=256)
def extents(size: int, most: int) -> list[int]:
    """Extents up to ``most`` that cut ``size`` with little padding: the smallest for each of some block sizes."""
    most = min(most, size)
    every = np.unique(-(-size // np.arange(1, size + 1)))
    tightest: list[int] = every[every <= most].tolist()
    if len(tightest) <= CANDIDATES:
        return tightest
    ratio = (tightest[-1] / 2) ** (1 / (CANDIDATES - 1))
    wanted = [2 * ratio**i for i in range(CANDIDATES)]
    return sorted({min(tightest, key=lambda extent: abs(extent - target)) for target in wanted})
