"""From plain JSON data to dataclasses and back; what does not fit is named in one line."""

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from wse_emu.errors import WseError

T = TypeVar("T")


def read(kind: type[T], data: Any, where: str) -> T:
    """``data`` as a ``kind``; WseError naming the place, as ``report.json: sram.padding``, where it does not fit.

    A dataclass with a field ``other`` keeps there what it has no field for; another refuses it.
    """
    found: T = _read(kind, data, where)
    return found


def write(value: Any) -> Any:
    """What :func:`read` made this of."""
    if is_dataclass(value):
        data = {one.name: write(getattr(value, one.name)) for one in fields(value) if one.name != "other"}
        return {**data, **getattr(value, "other", {})}
    if isinstance(value, dict):
        return {key: write(held) for key, held in value.items()}
    return [write(held) for held in value] if isinstance(value, list | tuple) else value


def _read(kind: Any, data: Any, where: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return data
    if origin in {UnionType, Union}:
        (kind,) = (part for part in parts if part is not NoneType)
        return None if data is None and NoneType in parts else _read(kind, data, where)
    if origin is not None:
        return _container(origin, parts, data, where)
    if is_dataclass(kind):
        return _object(kind, _expect(dict, data, where), where)
    if kind is Path:
        return Path(_expect(str, data, where))
    whole = kind is float and isinstance(data, int)
    return _expect(int if whole else kind, data, where)


def _container(origin: Any, parts: tuple[Any, ...], data: Any, where: str) -> Any:
    """Lists, tuples of a fixed length (lists in JSON) and objects with any keys."""
    if origin is dict:
        return {key: _read(parts[1], held, f"{where}.{key}") for key, held in _expect(dict, data, where).items()}
    held = _expect(list, data, where)
    kinds = parts if origin is tuple else parts * len(held)
    if len(held) != len(kinds):
        raise WseError(f"{where}: {len(kinds)} values expected, got {len(held)}")
    return origin(_read(kind, one, f"{where}[{i}]") for i, (kind, one) in enumerate(zip(kinds, held, strict=True)))


def _object(kind: Any, data: dict[str, Any], where: str) -> Any:
    hints = _hints(kind)
    known = {one.name: one for one in fields(kind) if one.name != "other"}
    missing = [name for name, one in known.items() if name not in data and one.default is MISSING]
    if missing:
        raise WseError(f"{where}: {missing[0]!r} is missing; a folder that wse-emu wrote works")
    found = {name: _read(hints[name], data[name], f"{where}.{name}") for name in known if name in data}
    rest = {name: held for name, held in data.items() if name not in known}
    if rest and "other" not in hints:
        raise WseError(f"{where}: {next(iter(rest))!r} is not known here; a folder that wse-emu wrote works")
    return kind(**found, other=rest) if "other" in hints else kind(**found)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _expect(kind: type, data: Any, where: str) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise WseError(f"{where}: {kind.__name__} expected, got {type(data).__name__}")
    return data
