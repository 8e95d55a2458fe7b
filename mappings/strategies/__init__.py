"""Placement strategies: where on the wafer a row of equally high regions lies. One small file each."""

from collections.abc import Callable

from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.mappings.strategies.row_major import row_major
from wse_emu.mappings.strategies.snake import snake

Strips = list[list[int]]
Strategy = Callable[[Strips, int, int], list[Region]]
"""(widths strip by strip, rows of a strip, columns of the wafer) -> a region each, in order."""

STRATEGIES: dict[str, Strategy] = {"row_major": row_major, "snake": snake}


def check_placement(strategy: str) -> None:
    """WseError for a strategy that nobody registered."""
    if strategy not in STRATEGIES:
        raise WseError(f"unknown placement {strategy!r}; what works: {', '.join(STRATEGIES)}")


def place(strategy: str, widths: list[int], height: int, columns: int, rows: int) -> list[Region]:
    """Regions of these ``widths``, all ``height`` rows high, on a wafer of ``columns`` × ``rows`` PEs.

    Raises WseError for an unknown strategy, or when the wafer is full before all are placed.
    """
    check_placement(strategy)
    strips = _strips(widths, columns)
    fitting = rows // height
    if strips is None or len(strips) > fitting:
        needed = "a wider wafer" if strips is None else f"{len(strips) * height:,} rows"
        raise WseError(
            f"{len(widths)} regions of {height} rows and {min(widths)} to {max(widths)} columns need {needed}; the "
            f"wafer has {columns}×{rows} PEs: a larger wafer, or the mapping `shared`, works"
        )
    return STRATEGIES[strategy](strips, height, columns)


def _strips(widths: list[int], columns: int) -> Strips | None:
    """Cut the sequence into strips no wider than the wafer; None where one region alone is too wide."""
    strips: Strips = [[]]
    for width in widths:
        if width > columns:
            return None
        if sum(strips[-1]) + width > columns:
            strips.append([])
        strips[-1].append(width)
    return strips
