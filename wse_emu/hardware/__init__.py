"""What the machines are: wafers and GPUs, as TOML presets with a source for every number."""

from wse_emu.hardware.gpu import GpuSpec, gpu_names, load_gpu, load_gpus
from wse_emu.hardware.wafer import WaferSpec, load_wafer, wafer_names

__all__ = ["GpuSpec", "WaferSpec", "gpu_names", "load_gpu", "load_gpus", "load_wafer", "wafer_names"]
