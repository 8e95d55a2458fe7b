"""Choosing the shape of a region: the fewest cycles that the timing model predicts, among the shapes that fit."""

from collections.abc import Callable, Iterator

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


def _anywhere(_rows: int, _cols: int) -> bool:
    return True


CANDIDATES = 14
"""Extents tried along each axis."""
COARSE = 3
"""Of these, every so many at first."""
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
        grid = extents(config.hidden, spec.rows), extents(config.intermediate, spec.columns)
    tried = _Tried(request, program, room)
    fitting = tried.search(*grid)
    if not fitting and tried.crowded:
        raise _no_room(request, what, *min(tried.crowded, key=lambda shape: shape[0] * shape[1]))
    if not fitting:
        rows, cols = grid[0][-1], grid[1][-1]
        raise too_large(request, program(request, rows, cols, inner_columns(request.config, cols)[-1]), what)
    return min(_finalists(request, program, fitting[:3]))[1:]


class _Tried:
    """Shapes that were looked at, and what came of them."""

    def __init__(self, request: Request, program: Programmer, room: Room) -> None:
        self._request, self._program, self._room = request, program, room
        self._known: dict[tuple[int, int], tuple[int, int, int, int] | None] = {}
        self.crowded: list[tuple[int, int]] = []
        """Rows and columns that fit the SRAM, but that the wafer has no room for."""

    def search(self, rows: list[int], cols: list[int]) -> list[tuple[int, int, int, int]]:
        """(cycles, rows, columns, columns that share a head) of what fits, the fewest cycles first.

        A coarse grid, then the neighbours of the best for as long as that helps; all shapes where nothing fits so.
        """
        coarse = [(i, j) for i in _every(COARSE, len(rows)) for j in _every(COARSE, len(cols))]
        everything = [(i, j) for i in range(len(rows)) for j in range(len(cols))]
        for places in (coarse, everything):
            found = {place: one for place in places if (one := self._look(rows[place[0]], cols[place[1]]))}
            if found:
                break
        while True:
            best = sorted(found, key=lambda place: found[place])[:FEW]
            beside = {(i + a, j + b) for i, j in best for a in (-1, 0, 1) for b in (-1, 0, 1)} - found.keys()
            new = {(i, j): self._look(rows[i], cols[j]) for i, j in beside if 0 <= i < len(rows) and 0 <= j < len(cols)}
            found |= {place: one for place, one in new.items() if one}
            if sorted(found, key=lambda place: found[place])[:FEW] == best:
                return sorted(found.values())

    def _look(self, rows: int, cols: int) -> tuple[int, int, int, int] | None:
        """Cycles and shape; None if it does not fit."""
        if (rows, cols) not in self._known:
            inner = inner_columns(self._request.config, cols)[-1]
            made, found = self._program(self._request, rows, cols, inner), None
            if memory(made, self._request.spec).fits:
                if self._room(rows, cols):
                    found = _cycles(self._request, made), rows, cols, inner
                else:
                    self.crowded.append((rows, cols))
            self._known[rows, cols] = found
        return self._known[rows, cols]


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


def _finalists(
    request: Request, program: Programmer, best: list[tuple[int, int, int, int]]
) -> Iterator[tuple[int, int, int, int]]:
    """The best shapes with every number of columns that a head may be spread over."""
    yield from best
    for _, rows, cols, _ in best:
        for inner in inner_columns(request.config, cols)[:-1]:
            made = program(request, rows, cols, inner)
            if memory(made, request.spec).fits:
                yield _cycles(request, made), rows, cols, inner


def _cycles(request: Request, program: Program) -> int:
    return request.estimator.program_cycles(program, request.positions // 2)


def extents(size: int, most: int) -> list[int]:
    """Extents up to ``most`` that cut ``size`` with little padding: the smallest for each of some block sizes."""
    most = min(most, size)
    tightest = sorted({-(-size // block) for block in range(1, size + 1) if -(-size // block) <= most})
    if len(tightest) <= CANDIDATES:
        return tightest
    ratio = (tightest[-1] / 2) ** (1 / (CANDIDATES - 1))
    wanted = [2 * ratio**i for i in range(CANDIDATES)]
    return sorted({min(tightest, key=lambda extent: abs(extent - target)) for target in wanted})
