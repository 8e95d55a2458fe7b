"""The GPU beside the wafer: the same decode, priced by its HBM. An estimate: datasheets and one fitted efficiency.

One token reads all weights and the KV cache once; it takes the larger of that time and of its floating-point work at
peak, plus the launches of its kernels.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from statistics import mean

from wse_emu.hardware.gpu import GpuSpec, load_gpu, load_gpus
from wse_emu.hardware.wafer import PRESETS
from wse_emu.models.config import ModelConfig

KERNELS_PER_LAYER = 6
"""Norm, QKV, attention, output, norm with gate-up, down: what a fused decoder launches. An estimate."""
_LAYERS_OF_ROWS = 32
"""Both models of gpu_decode.toml have 32 layers."""
LAUNCH_SECONDS = 2.0e-6
"""Between two kernels of a replayed CUDA graph. An estimate: a few microseconds is what profiles of decoders show."""


@dataclass(frozen=True)
class Fit:
    """The share of its HBM bandwidth that a GPU's decode reaches, and how far the fit is from its rows."""

    efficiency: float
    errors: dict[str, float]
    """Predicted over published tokens/s, minus 1, by model."""


@dataclass(frozen=True)
class BaselineRate:
    """Decode of one request on one GPU."""

    gpu: str
    tokens_per_second: float
    bound_by: str
    """"HBM", "arithmetic" or "launches", the largest term; "does not fit" if the HBM is too small."""
    level: str = "estimate"


@cache
def fit() -> Fit:
    """Efficiency on the A100 rows of gpu_decode.toml: the mean that each row asks for, launches set aside."""
    table = tomllib.loads((PRESETS / "gpu_decode.toml").read_text("utf-8"))
    bandwidth = load_gpu(table["gpu"]).hbm_bytes_per_second
    launches = LAUNCH_SECONDS * (_LAYERS_OF_ROWS * KERNELS_PER_LAYER + 2)
    asked = {}
    for row in table["rows"]:
        size = row["gb_per_second"] * 1e9 / row["tokens_per_second"]
        asked[row["model"]] = (
            size,
            size / bandwidth / (1 / row["tokens_per_second"] - launches),
            row["tokens_per_second"],
        )
    efficiency = mean(share for _, share, _ in asked.values())
    errors = {
        model: 1 / (size / (efficiency * bandwidth) + launches) / rate - 1 for model, (size, _, rate) in asked.items()
    }
    return Fit(efficiency, errors)


def decode_rate(config: ModelConfig, gpu: GpuSpec, *, weight_bytes: int, position: int) -> BaselineRate:
    """Tokens/s of a single request at ``position`` on ``gpu``, with ``weight_bytes`` a parameter and cached number."""
    read = config.parameters - (0 if config.tied_embeddings else config.vocabulary * config.hidden)
    cached = 2 * config.layers * config.kv_width * (position + 1)
    terms = {
        "HBM": (read + cached) * weight_bytes / (fit().efficiency * gpu.hbm_bytes_per_second),
        "arithmetic": 2 * (read + cached * config.heads // config.kv_heads) / gpu.fp16_flops,
    }
    launches = LAUNCH_SECONDS * (config.layers * KERNELS_PER_LAYER + 2)
    bound = max(terms, key=lambda name: terms[name])
    seconds = terms[bound] + launches
    if (config.parameters + cached) * weight_bytes > gpu.hbm_bytes:
        return BaselineRate(gpu.name, 0.0, "does not fit")
    return BaselineRate(gpu.name, 1 / seconds, "launches" if launches > terms[bound] else bound)


def baselines(config: ModelConfig, *, weight_bytes: int = 2, position: int = 0) -> list[BaselineRate]:
    """All GPU presets; 16-bit weights by default, as GPUs would run them."""
    return [decode_rate(config, gpu, weight_bytes=weight_bytes, position=position) for gpu in load_gpus()]
