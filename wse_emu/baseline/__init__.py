"""The GPU beside the wafer: the same decode and prefill on one or more GPUs, with energy and cost. Estimates.

A pass reads weights and KV cache from HBM and multiplies; of each group of operations the larger of the two times
counts. To it come the launches of its kernels and, under tensor parallelism, two all-reduces a layer. What datasheets
and measurements leave open is fitted to published rates. The formulas are in docs/gpu.md.
"""

from wse_emu.baseline.cluster import cluster, fewest
from wse_emu.baseline.constants import constants, find_format, gpu_format
from wse_emu.baseline.cost import usd_per_million_tokens
from wse_emu.baseline.fit import fit, leave_one_out, refit
from wse_emu.baseline.rates import GpuRate, baselines, decode_rate, prefill_rate
from wse_emu.baseline.rows import GpuRow, fitted_rows, gpu_rows, predict, published_work
from wse_emu.baseline.work import ModelWork, experts_of, model_work

__all__ = [
    "GpuRate",
    "GpuRow",
    "ModelWork",
    "baselines",
    "cluster",
    "constants",
    "decode_rate",
    "experts_of",
    "fewest",
    "find_format",
    "fit",
    "fitted_rows",
    "gpu_format",
    "gpu_rows",
    "leave_one_out",
    "model_work",
    "predict",
    "prefill_rate",
    "published_work",
    "refit",
    "usd_per_million_tokens",
]
