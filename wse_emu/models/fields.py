"""Typed look-ups in metadata that somebody else wrote."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wse_emu.errors import WseError


@dataclass(frozen=True)
class Fields:
    """Values by key, with the name of the file they came from for the messages. Every reader raises `WseError`."""

    values: Mapping[str, Any]
    source: str

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "an integer", value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(key, "a finite number", value)
        return float(value)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def table(self, key: str) -> "Fields":
        """The object under `key`, empty where it is absent."""
        value = self.values.get(key)
        if not isinstance(value, Mapping | None):
            raise self._wrong(key, "an object", value)
        return Fields(value or {}, f"{self.source}, {key}")

    def _get(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        value = default if value is None else value
        if value is None:
            raise WseError(f"{self.source}: key {key!r} is missing")
        return value

    def _wrong(self, key: str, expected: str, value: Any) -> WseError:
        return WseError(f"{self.source}: key {key!r} must be {expected}, got {repr(value)[:60]}")
