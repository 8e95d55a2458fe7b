"""`wse-emu bench gpu`: copy bandwidth and a model's matrix-vector products on a CUDA device."""

import json
from dataclasses import dataclass
from math import ceil
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.baseline import experts_of, fit
from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig
from wse_emu.models.known import load_config
from wse_emu.report.gpu_device import CACHE_BYTES, COPY_BYTES, MOST_MATRICES, STREAM_BYTES, Device, open_device

WEIGHT_BYTES = 2


@dataclass(frozen=True)
class GpuOptions:
    """The options of `wse-emu bench gpu`."""

    model: str
    device: str
    library: str | None
    megabytes: int | None
    json_output: bool


@dataclass(frozen=True)
class Gemv:
    """A matrix-vector product of a decoder: x (rows) times w (rows, cols), ``count`` times a token."""

    name: str
    rows: int
    cols: int
    count: int

    @property
    def bytes(self) -> int:
        """Of its weights, 16-bit."""
        return self.rows * self.cols * WEIGHT_BYTES


def run_bench_gpu(options: GpuOptions) -> None:
    """Measure and show. Raises WseError for what the user got wrong, and where there is no device."""
    if options.megabytes is not None and options.megabytes < 1:
        raise WseError(f"--megabytes {options.megabytes}: from 1 works")
    config = load_config(options.model)
    if experts_of(config):
        raise WseError(f"{options.model}: a mixture of experts, whose products depend on the tokens; dense models work")
    gemvs = decoder_gemvs(config)
    device = open_device(options.device, options.library)
    try:
        report = measure(gemvs, device, options.megabytes)
    except RuntimeError as error:  # what jax and cupy raise of a device that is full or lost
        reason = " ".join(str(error).split())[:150]
        raise WseError(f"{device.name}: {reason}; a smaller --megabytes or --model may work") from None
    report = {"model": options.model, **report}
    if options.json_output:
        print(json.dumps(report, ensure_ascii=False))  # noqa: T201
    else:
        _show(report)


def decoder_gemvs(config: ModelConfig) -> list[Gemv]:
    """What a fused decoder multiplies for a token."""
    name, inward = ("gate and up", 2) if config.gated else ("up", 1)
    return [
        Gemv("QKV", config.hidden, config.q_width + 2 * config.kv_width, config.layers),
        Gemv("output", config.q_width, config.hidden, config.layers),
        Gemv(name, config.hidden, inward * config.intermediate, config.layers),
        Gemv("down", config.intermediate, config.hidden, config.layers),
        Gemv("LM head", config.hidden, config.vocabulary, 1),
    ]


def measure(gemvs: list[Gemv], device: Device, megabytes: int | None = None) -> dict[str, Any]:
    """Bytes/s of a copy and of every product on ``device``, the best of several runs; and what a token takes of them.

    ``megabytes`` bounds the memory that a copy reads and that the weights of a run take.
    """
    copied, streamed = (COPY_BYTES, STREAM_BYTES) if megabytes is None else (megabytes << 20, megabytes << 20)
    bandwidth = 2 * copied / device.copy_seconds(copied)
    rows: list[dict[str, Any]] = []
    for gemv in gemvs:
        matrices = min(MOST_MATRICES, max(1, ceil(streamed / gemv.bytes)))
        seconds = device.gemv_seconds(gemv.rows, gemv.cols, matrices)
        rate = gemv.bytes / seconds
        sizes = {"name": gemv.name, "rows": gemv.rows, "cols": gemv.cols, "per_token": gemv.count, "bytes": gemv.bytes}
        figures = {"seconds": seconds, "bytes_per_second": rate, "share_of_copy": rate / bandwidth}
        rows.append({**sizes, **figures, "cached": matrices * gemv.bytes < CACHE_BYTES})
    seconds = sum(row["seconds"] * row["per_token"] for row in rows)
    return {
        "device": device.name,
        "library": device.library,
        "dtype": device.dtype,
        "level": "dry run on a CPU" if device.name == "cpu" else "measured",
        "copy_bytes_per_second": bandwidth,
        "gemvs": rows,
        "seconds_per_token": seconds,
        "bytes_per_second": sum(row["bytes"] * row["per_token"] for row in rows) / seconds,
    }


def _show(report: dict[str, Any]) -> None:
    title = f"{report['model']}, {report['dtype']}, on {report['device']} by {report['library']} ({report['level']})"
    table = Table(
        "product", "shape", "a token", "time", "GB/s", "of copy", title=title, title_justify="left", box=SIMPLE
    )
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in report["gemvs"]:
        figures = (
            f"{row['seconds'] * 1e6:,.1f} µs",
            f"{row['bytes_per_second'] / 1e9:,.0f}",
            f"{row['share_of_copy']:.0%}{'*' * row['cached']}",
        )
        table.add_row(row["name"], f"{row['rows']:,}×{row['cols']:,}", f"{row['per_token']}×", *figures)
    console = Console()
    console.print(table)
    console.print(f"copy: {report['copy_bytes_per_second'] / 1e9:,.0f} GB/s, read and written", highlight=False)
    rate = f"{report['bytes_per_second'] / 1e9:,.0f} GB/s, at most {1 / report['seconds_per_token']:,.0f} tokens/s"
    console.print(f"all products of a token: {rate}", highlight=False)
    if any(row["cached"] for row in report["gemvs"]):
        console.print("[dim]*: weights that a cache may hold[/]", highlight=False)
    if report["level"] == "measured":
        share = f"{fit().figures.hbm_share:.0%} of the datasheet's HBM bandwidth, launches besides"
        console.print(f"[dim]`wse-emu decode` prices GPUs at {share}: fitted to published rates[/]", highlight=False)
    else:
        console.print("[dim]a dry run: it says nothing of any GPU[/]")
