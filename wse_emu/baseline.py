"""The GPU beside the wafer: the same decode, priced by its HBM. An estimate: datasheets and one fitted efficiency.

One token reads all weights and the KV cache once; it takes the larger of that time and of its floating-point work at
peak, plus the launches of its kernels.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from math import isfinite
from statistics import median

from wse_emu.errors import WseError
from wse_emu.hardware.gpu import GpuSpec, load_gpu, load_gpus
from wse_emu.hardware.wafer import PRESETS
from wse_emu.models.config import ModelConfig

KERNELS_PER_LAYER = 6
"""Norm, QKV, attention, output, norm with gate-up, down: what a fused decoder launches. An estimate."""
KERNELS_BESIDE = 2
"""Final norm and LM head, once a token. An estimate."""
LAUNCH_SECONDS = 2.0e-6
"""Between two kernels of a replayed CUDA graph. An estimate, at the fast end of 2 to 3 µs, so in the GPU's favour."""


@dataclass(frozen=True)
class Fit:
    """The share of its HBM bandwidth that a GPU's decode reaches, and how far the fit is from its rows."""

    efficiency: float
    launch_seconds: float
    """Per kernel: given, not fitted, since the rows are models of nearly one size."""
    errors: dict[str, float]
    """Predicted over published tokens/s, minus 1, by row."""

    @property
    def median_abs_error(self) -> float:
        return median(abs(error) for error in self.errors.values())

    @property
    def rows(self) -> int:
        return len(self.errors)


@dataclass(frozen=True)
class BaselineRate:
    """Decode of one request on one GPU."""

    gpu: str
    tokens_per_second: float
    seconds_per_token: float | None
    """None where the model does not fit."""
    bound_by: str
    """"HBM", "arithmetic" or "launches", the largest term; "does not fit" if the HBM is too small."""
    efficiency: float
    """Share of the HBM bandwidth that was assumed."""
    level: str = "estimate"


@cache
def fit() -> Fit:
    """Efficiency on the A100 rows of gpu_decode.toml: the median of what each row asks for, launches set aside."""
    table = tomllib.loads((PRESETS / "gpu_decode.toml").read_text("utf-8"))
    bandwidth = load_gpu(table["gpu"]).hbm_bytes_per_second
    ideal, launches, seconds = {}, {}, {}
    for row in table["rows"]:
        name = f"{row['model']} {row['weights']}"
        seconds[name] = 1 / row["tokens_per_second"]
        ideal[name] = row["gb_per_second"] * 1e9 * seconds[name] / bandwidth
        launches[name] = LAUNCH_SECONDS * kernels_of(row["layers"])
    efficiency = median(ideal[name] / (seconds[name] - launches[name]) for name in ideal)
    errors = {name: seconds[name] / (ideal[name] / efficiency + launches[name]) - 1 for name in ideal}
    return Fit(efficiency, LAUNCH_SECONDS, errors)


def kernels_of(layers: int) -> int:
    """Kernels that a decoder of ``layers`` launches for a token."""
    return layers * KERNELS_PER_LAYER + KERNELS_BESIDE


def decode_rate(
    gpu: GpuSpec, *, weight_bytes: float, kv_bytes: float, flops: float, kernels: int, stored_bytes: float | None = None
) -> BaselineRate:
    """Tokens/s of a single request on ``gpu``.

    ``weight_bytes`` and ``kv_bytes`` are read, ``flops`` done and ``kernels`` launched for a token; ``stored_bytes``,
    by default the two read, must fit the HBM. Raises WseError for numbers that no decode has.
    """
    if not all(isfinite(n) and n >= 0 for n in (weight_bytes, kv_bytes, flops, kernels)) or not weight_bytes:
        raise WseError(
            f"a decode of {weight_bytes:g} bytes of weights, {kv_bytes:g} of KV cache, {flops:g} FLOP and {kernels} "
            "kernels a token: weights above 0 and the others from 0 work"
        )
    share = fit().efficiency
    if (weight_bytes + kv_bytes if stored_bytes is None else stored_bytes) > gpu.hbm_bytes:
        return BaselineRate(gpu.name, 0.0, None, "does not fit", share)
    terms = {
        "HBM": (weight_bytes + kv_bytes) / (share * gpu.hbm_bytes_per_second),
        "arithmetic": flops / gpu.fp16_flops,
    }
    bound = max(terms, key=lambda name: terms[name])
    launches = fit().launch_seconds * kernels
    seconds = terms[bound] + launches
    return BaselineRate(gpu.name, 1 / seconds, seconds, "launches" if launches > terms[bound] else bound, share)


def baselines(config: ModelConfig, *, weight_bytes: float = 2, position: int = 0) -> list[BaselineRate]:
    """``config`` at ``position`` on all GPU presets, with ``weight_bytes`` a parameter and cached number.

    16-bit by default, as GPUs would run it. A decode reads one row of an embedding that is not also the LM head, and of
    the experts the active ones.
    """
    unread = 0 if config.tied_embeddings else config.vocabulary * config.hidden
    read = config.active_parameters - unread
    cached = 2 * config.layers * config.kv_width * (position + 1)
    return [
        decode_rate(
            gpu,
            weight_bytes=read * weight_bytes,
            kv_bytes=cached * weight_bytes,
            flops=2 * (read + cached * (config.heads // config.kv_heads)),
            kernels=kernels_of(config.layers),
            stored_bytes=(config.parameters + cached) * weight_bytes,
        )
        for gpu in load_gpus()
    ]
