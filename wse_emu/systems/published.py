"""Published speeds of models on wafers (baseline/data/wafer_speeds.csv), to stand beside predictions."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from wse_emu.models.config import ModelConfig
from wse_emu.models.known import known_names, load_config

SIZES = ("vocabulary", "hidden", "layers", "heads", "kv_heads", "intermediate")


@dataclass(frozen=True)
class PublishedSpeed:
    """What somebody published of a model for one user."""

    model: str
    tokens_per_second: float
    printed: str
    """The figure as it stands there: "1800", ">1800", "about 1400"."""
    gpu: str
    """The preset of a cloud's GPU; empty: Cerebras' wafers."""
    systems: str
    """How many; empty where that is not published."""
    date: str
    measured_by: str
    conditions: str
    source: str
    confidence: str
    """P: from a primary source, S: secondary."""
    gap: str
    """Why a prediction of this project differs."""

    @property
    def system(self) -> str:
        """The preset: a CS-3 is a wse3."""
        return self.gpu or "wse3"

    def __str__(self) -> str:
        where = f"{self.gpu} of a cloud" if self.gpu else "CS-3"
        systems = self.systems or "an unknown number of"
        how = f", {self.conditions}" if self.conditions else ""
        return f"{self.printed} tokens/s for one user on {systems} {where} ({self.measured_by}, {self.date}{how})"


@cache
def _all() -> tuple[tuple[str, PublishedSpeed], ...]:
    lines = (files("wse_emu.baseline") / "data" / "wafer_speeds.csv").read_text("utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return tuple((row.pop("shape"), _speed(row.pop("tok_s"), row)) for row in rows)


def _speed(printed: str, row: dict[str, str]) -> PublishedSpeed:
    return PublishedSpeed(tokens_per_second=float(printed.lstrip(">about ")), printed=printed, **row)


def published_speeds(config: ModelConfig) -> list[PublishedSpeed]:
    """What is published of a model of this shape, the vendor's first figure first."""
    shapes = {name for name in known_names() if _sizes(load_config(name)) == _sizes(config)}
    return [speed for shape, speed in _all() if shape in shapes]


def _sizes(config: ModelConfig) -> tuple[int, ...]:
    return tuple(getattr(config, size) for size in SIZES)
