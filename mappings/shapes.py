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


def _check_shape(request: Request, rows: int, cols: int) -> None:
    """WseError if a region of that shape is empty or larger than the wafer."""
    if rows < 1 or cols < 1:
        raise WseError(f"a region of {rows} rows × {cols} columns is empty; at least 1×1 works")
    Mesh.from_spec(request.spec).check_region(Region(0, 0, cols, rows), "the model")


def best_shape(request: Request, program: Programmer, what: str, room: Room = _anywhere) -> tuple[int, int, int]:
    """(rows, columns, columns that share a head) with the fewest cycles at half the context.

    ``room`` says which shapes the wafer has room for. Raises WseError with what would fit when no shape does.
    """
    if request.shape is not None:
        rows, cols = request.shape
        _check_shape(request, rows, cols)
        shapes = [request.shape]
    else:
        shapes = list(_shapes(request))
    fitting, crowded = [], []
    for rows, cols in shapes:
        inner = inner_columns(request.config, cols)[-1]
        made = program(request, rows, cols, inner)
        if not memory(made, request.spec).fits:
            continue
        if room(rows, cols):
            fitting.append((_cycles(request, made), rows, cols, inner))
        else:
            crowded.append((rows, cols))
    if not fitting and crowded:
        raise _no_room(request, what, *min(crowded, key=lambda shape: shape[0] * shape[1]))
    if not fitting:
        rows, cols = max(shapes, key=lambda shape: shape[0] * shape[1])
        raise too_large(request, program(request, rows, cols, inner_columns(request.config, cols)[-1]), what)
    return min(_finalists(request, program, sorted(fitting)[:3]))[1:]


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


def _shapes(request: Request) -> Iterator[tuple[int, int]]:
    config, spec = request.config, request.spec
    for rows in extents(config.hidden, spec.rows):
        for cols in extents(config.intermediate, spec.columns):
            yield rows, cols


def extents(size: int, most: int) -> list[int]:
    """Extents up to ``most`` that cut ``size`` with little padding: the smallest for each of some block sizes."""
    most = min(most, size)
    tightest = sorted({-(-size // block) for block in range(1, size + 1) if -(-size // block) <= most})
    if len(tightest) <= CANDIDATES:
        return tightest
    ratio = (tightest[-1] / 2) ** (1 / (CANDIDATES - 1))
    wanted = [2 * ratio**i for i in range(CANDIDATES)]
    return sorted({min(tightest, key=lambda extent: abs(extent - target)) for target in wanted})
