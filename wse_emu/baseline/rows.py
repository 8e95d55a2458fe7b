"""The published rows (data/gpu_rows.csv), each with what the GPU model says of it."""

import csv
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from wse_emu.baseline.cluster import Cluster, cluster
from wse_emu.baseline.constants import Constants
from wse_emu.baseline.step import decode_step, prefill_step
from wse_emu.baseline.work import ModelWork, model_work
from wse_emu.hardware.gpu import GpuSpec, load_gpu
from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope

_DATA = files("wse_emu.baseline") / "data"


@dataclass(frozen=True)
class GpuRow:
    """A published rate of one request."""

    gpu: str
    count: int
    serving: str
    model: str
    weights: str
    phase: str
    """"decode", "prefill" or "end to end"."""
    input: int
    output: int
    tokens_per_second: float
    left_out: str
    """Why the row is not fitted; empty if it is."""
    source: str

    @property
    def name(self) -> str:
        what = f"{self.model} {self.weights} {self.phase}"
        if self.serving == "SGLang" and self.phase != "decode":
            what += f" {self.input}/{self.output}"
        return f"{self.count}× {self.gpu}, {self.serving}, {what}"


@cache
def gpu_rows() -> tuple[GpuRow, ...]:
    """All rows, in the order of the file."""
    lines = (_DATA / "gpu_rows.csv").read_text("utf-8").splitlines()
    return tuple(
        GpuRow(
            row["gpu"],
            int(row["num_gpu"]),
            row["framework"],
            row["model"],
            row["weights"],
            row["phase"],
            int(row["input"]),
            int(row["output"]),
            float(row["tok_s"]),
            row["left_out"],
            row["source"],
        )
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
    )


def fitted_rows() -> tuple[GpuRow, ...]:
    """Those that the constants are fitted to."""
    return tuple(row for row in gpu_rows() if not row.left_out)


@cache
def _tables() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads((_DATA / "gpu_models.toml").read_text("utf-8"))


@cache
def published_work(name: str) -> ModelWork:
    """The work of a model of the rows."""
    sizes = dict(_tables()["models"][name])
    experts = (sizes.pop("experts"), sizes.pop("active")) if "experts" in sizes else None
    width, rope = sizes["hidden"] // sizes["heads"], Rope(1e4, "half", None)
    config = ModelConfig("llama", head_dim=width, context=131072, norm_epsilon=1e-5, rope=rope, **sizes)
    return model_work(config, experts=experts, name=name)


@cache
def machine(name: str) -> GpuSpec:
    """The GPU of a row."""
    changes = dict(_tables()["machines"][name])
    return replace(load_gpu(changes.pop("preset")), name=name, **changes)


def row_cluster(row: GpuRow, figures: Constants | None = None) -> Cluster:
    """The GPUs of ``row``, with the preset's constants or other ``figures``."""
    return cluster(machine(row.gpu), row.count, weights=row.weights, serving=row.serving, figures=figures)


def predict(row: GpuRow, figures: Constants | None = None) -> float:
    """Tokens/s of ``row`` by the model: decode is priced at its middle token."""
    work, on = published_work(row.model), row_cluster(row, figures)
    if row.phase == "prefill":
        return row.input / prefill_step(work, on, length=row.input).seconds
    token = decode_step(work, on, context=row.input + row.output / 2).seconds
    if row.phase == "decode":
        return 1 / token
    return row.output / (prefill_step(work, on, length=row.input).seconds + row.output * token)


def errors(rows: Sequence[GpuRow], figures: Constants | None = None) -> list[float]:
    """Predicted over published, minus 1."""
    return [predict(row, figures) / row.tokens_per_second - 1 for row in rows]
