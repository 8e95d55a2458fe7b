"""How far the GPU model is from its rows, and how its constants are fitted to them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import exp, inf, log
from statistics import median

from wse_emu.baseline.constants import Constants, constants
from wse_emu.baseline.rows import GpuRow, errors, fitted_rows, predict

SOFT = 0.05
"""Log ratio beyond which a row pulls linearly (soft L1): two of gpt-fast's rows contradict their neighbours."""


@dataclass(frozen=True)
class Fit:
    """The constants, and their errors on the rows that they are fitted to."""

    figures: Constants
    errors: dict[str, float]
    """Predicted over published tokens/s, minus 1, by row."""

    @property
    def median_abs_error(self) -> float:
        return median(abs(error) for error in self.errors.values())


@cache
def fit() -> Fit:
    """The preset's constants on their rows."""
    rows = fitted_rows()
    return Fit(constants(), dict(zip((row.name for row in rows), errors(rows), strict=True)))


def refit(rows: Sequence[GpuRow], start: Constants | None = None) -> Constants:
    """Constants that fit ``rows`` best, by least squares of log ratios with a soft L1 loss; shares stay below 1.

    A constant that no row asks for keeps its value of ``start``, by default the preset's.
    """
    from scipy.optimize import least_squares

    first = asdict(start or constants())
    names = list(first)

    def ratios(logs: Sequence[float]) -> list[float]:
        figures = Constants(**dict(zip(names, map(exp, logs), strict=True)))
        return [log(predict(row, figures) / row.tokens_per_second) for row in rows]

    most = [0.0 if name.endswith("share") else inf for name in names]
    begin = [min(log(first[name]), top - 1e-3) for name, top in zip(names, most, strict=True)]
    found = least_squares(ratios, begin, bounds=(-inf, most), loss="soft_l1", f_scale=SOFT, ftol=1e-6)
    return Constants(**dict(zip(names, map(exp, found.x), strict=True)))


def leave_one_out(rows: Sequence[GpuRow]) -> list[float]:
    """The error of every row under constants fitted to the others.

    Rows of one model on the same GPUs in the same program go together: WaferLLM's decode, prefill and end-to-end rates
    follow from each other.
    """
    every = refit(rows)
    rest = {setup: refit([row for row in rows if _setup(row) != setup], every) for setup in map(_setup, rows)}
    return [errors([row], rest[_setup(row)])[0] for row in rows]


def _setup(row: GpuRow) -> tuple[str, int, str, str, str]:
    return row.gpu, row.count, row.serving, row.model, row.weights
