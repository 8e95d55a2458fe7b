"""Values of a wafer's TOML file, checked one by one. All raise WseError naming ``where`` and what would work."""

from collections.abc import Collection
from fractions import Fraction
from math import isfinite
from typing import Any

from wse_emu.errors import WseError


def whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise WseError(f"{where} is {_short(value)}; a whole number from 0 works")
    return value


def real(value: Any, where: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
    except OverflowError:
        number = -1.0
    if not isfinite(number) or number < 0:
        raise WseError(f"{where} is {_short(value)}; a number from 0 works")
    return number


def ratio(value: Any, where: str) -> Fraction:
    """An exact ratio: a whole number, "9/8" or "2.92"; no floats, since clocks of links never drift."""
    try:
        plain = isinstance(value, int | str) and not isinstance(value, bool) and "e" not in str(value).lower()
        number = Fraction(value) if plain else Fraction(0)
    except (ValueError, ZeroDivisionError):
        number = Fraction(0)
    if number <= 0:
        raise WseError(f'{where} is {_short(value)}; a ratio above 0 in quotes works, as "9/8" or "2.92"')
    return number


def ratios(value: Any, where: str, keys: Collection[str]) -> dict[str, Fraction]:
    """A table with exactly ``keys``."""
    if not isinstance(value, dict) or value.keys() != set(keys):
        odd = f"; {min(value.keys() ^ set(keys))!r} is missing or unknown" if isinstance(value, dict) else ""
        raise WseError(f"{where} must be a table with exactly {', '.join(sorted(keys))}{odd}")
    return {key: ratio(number, f"{where}.{key}") for key, number in value.items()}


def numbers(value: Any, where: str, keys: Collection[str]) -> dict[str, float]:
    """A table of numbers above 0 with some of ``keys``, or with none."""
    if not isinstance(value, dict) or not value.keys() <= set(keys):
        raise WseError(f"{where} must be a table with no keys but {', '.join(sorted(keys))}")
    table = {key: real(number, f"{where}.{key}") for key, number in value.items()}
    for key, number in table.items():
        if not number > 0:
            raise WseError(f"{where}.{key} is 0; a number above 0 works, or none")
    return table


def depths(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != 4:
        raise WseError(f"{where} is {_short(value)}; four whole numbers work, for queues 0-1, 2-3, 4-5 and 6-7")
    return tuple(whole(depth, where) for depth in value)


def errors(value: Any, where: str) -> dict[str, tuple[float, ...]]:
    """A table of median, 95th percentile and largest error by set of measurements."""
    if not isinstance(value, dict) or any(not isinstance(row, list) or len(row) != 3 for row in value.values()):
        raise WseError(f"{where} must be a table of three numbers each: median, 95th percentile and largest error")
    return {name: tuple(real(error, f"{where}.{name}") for error in row) for name, row in value.items()}


def places(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise WseError(f"{where} is {_short(value)}; a list of whole numbers works, or []")
    return tuple(whole(place, where) for place in value)


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise WseError(f"{where} is {_short(value)}; a text in quotes works")
    return value


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 2**63:
        return "beyond 64 bits"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
