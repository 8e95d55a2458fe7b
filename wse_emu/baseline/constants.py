"""The figures that the GPU model takes from published rows, and the serving programs they belong to."""

import tomllib
from dataclasses import dataclass, fields
from functools import cache

from wse_emu.errors import WseError
from wse_emu.hardware.gpu import GpuSpec
from wse_emu.hardware.wafer import PRESETS
from wse_emu.program.precision import Precision

LINK_SHARE = 0.75
"""Of NVLink's one-way bandwidth, for large all-reduces. Assumed, in the GPU's favour: no row at hand shows it."""

BESIDE = "compiled"
"""The program that GPUs beside a wafer run: gpt-fast's kernels, and a shared LM head, which gpt-fast has not."""


@dataclass(frozen=True)
class Constants:
    """Fitted to the rows of data/gpu_rows.csv (`python -m benchmarks.gpu_fit`); kept in presets/gpu_decode.toml."""

    hbm_share: float
    """Of the HBM bandwidth, 16-bit weights and cache; launches set aside."""
    int8_share: float
    """Of that, where weights are dequantised from 8 bits."""
    int4_share: float
    """And from 4 bits."""
    flop_share: float
    """Of the dense 16-bit peak, in prefill."""
    gpt_fast_kernel: float
    """Seconds from kernel to kernel beyond their bytes: launch, ramp, tail. Compiled, replayed as a CUDA graph."""
    sglang_kernel: float
    """The same in SGLang, with what its scheduler takes."""
    sglang_two_nodes: float
    """Seconds of a small all-reduce over two nodes of eight GPUs and InfiniBand."""
    sglang_link_share: float
    """Of NVLink's one-way bandwidth, in the large all-reduces of SGLang's prefill rows."""
    mlc_pcie: float
    """Seconds of a small all-reduce over PCIe, MLC LLM."""
    vllm_pcie: float
    """And vLLM of 2023."""


@dataclass(frozen=True)
class Serving:
    """How a program runs a model on GPUs."""

    name: str
    kernel_seconds: float
    head_split: bool
    """Whether GPUs share the LM head; gpt-fast gives each all of it, as its rows' bytes show."""
    link_share: float
    pcie_all_reduce: float | None = None
    """Seconds of a small all-reduce, where the program's rows are of GPUs on PCIe."""


@dataclass(frozen=True)
class Format:
    """How weights are kept."""

    name: str
    bytes: float
    """A weight, scales included."""
    share: str | None = None
    """The constant that says which share of the bandwidth dequantisation leaves."""
    activation_bytes: int = 2
    """Of a number in the cache and in an all-reduce."""

    def peak_flops(self, gpu: GpuSpec) -> float:
        """FLOP/s of the datasheet: FP8's for fp8, half of the 16-bit ones (TF32) for fp32."""
        if self.name == "fp8" and gpu.fp8_flops is not None:
            return gpu.fp8_flops
        return gpu.fp16_flops / (2 if self.name == "fp32" else 1)


FORMATS = {
    one.name: one
    for one in (
        Format("fp32", 4, activation_bytes=4),
        Format("bf16", 2),
        Format("fp16", 2),
        Format("fp8", 1),  # read at the full rate and multiplied as it is where the GPU has FP8; no row shows it
        Format("int8", 1, "int8_share"),
        Format("int4", 0.625, "int4_share"),  # a bf16 scale and zero for 32 weights, as in gpt-fast's rows
    )
}


@cache
def constants() -> Constants:
    """Those of the preset file."""
    table = tomllib.loads((PRESETS / "gpu_decode.toml").read_text("utf-8"))
    return Constants(**{field.name: table[field.name] for field in fields(Constants)})


def servings(figures: Constants) -> dict[str, Serving]:
    """All serving programs by name, with these figures."""
    compiled, sglang = figures.gpt_fast_kernel, figures.sglang_kernel
    every = (
        Serving(BESIDE, compiled, head_split=True, link_share=LINK_SHARE),
        Serving("gpt-fast", compiled, head_split=False, link_share=LINK_SHARE),
        Serving("SGLang", sglang, head_split=True, link_share=figures.sglang_link_share),
        Serving("MLC LLM", compiled, head_split=True, link_share=LINK_SHARE, pcie_all_reduce=figures.mlc_pcie),
        Serving("vLLM", compiled, head_split=True, link_share=LINK_SHARE, pcie_all_reduce=figures.vllm_pcie),
    )
    return {one.name: one for one in every}


def gpu_format(precision: Precision) -> str:
    """How a GPU keeps the weights of a model that a wafer runs in ``precision``."""
    return {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}.get(precision.weights, precision.weights)


def find_format(name: str) -> Format:
    """Raises WseError for an unknown one."""
    if name not in FORMATS:
        raise WseError(f"weights {name!r}: {', '.join(FORMATS)} work")
    return FORMATS[name]
