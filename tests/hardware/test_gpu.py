import pytest

from wse_emu.errors import WseError
from wse_emu.hardware import gpu_names, load_gpu, load_gpus

# gpu_specs.csv: hbm_gb, hbm_tb_s, fp16_dense_tflops, fp8_dense_tflops, tdp_w, nvlink_gb_s, l2_mib, usd_per_gpu_hour
ROWS: dict[str, tuple[float | None, ...]] = {
    "A100": (80, 2.039, 312, None, 400, 600, 40, 1.39),
    "H100": (80, 3.35, 989, 1979, 700, 900, 50, 2.69),
    "H200": (141, 4.8, 989, 1979, 700, 900, 50, 3.59),
    "B200": (180, 8.0, 2250, 4500, 1000, 1800, None, 5.98),
    "GB200": (186, 8.0, 2500, 5000, 1200, 1800, 126, None),
    "MI300X": (192, 5.3, 1307, 2610, 750, 896, 256, None),
}
SCALES = (1e9, 1e12, 1e12, 1e12, 1, 1e9, 2**20, 1)


@pytest.mark.parametrize("name", ROWS)
def test_presets_are_the_datasheets(name: str) -> None:
    gpu = load_gpu(name)
    held = (
        gpu.hbm_bytes,
        gpu.hbm_bytes_per_second,
        gpu.fp16_flops,
        gpu.fp8_flops,
        gpu.tdp_watts,
        gpu.nvlink_bytes_per_second,
        gpu.l2_bytes,
        gpu.usd_per_hour,
    )
    for value, row, scale in zip(held, ROWS[name], SCALES, strict=True):
        assert value == (None if row is None else pytest.approx(row * scale))


def test_all_of_them_in_order() -> None:
    assert gpu_names() == tuple(gpu.name for gpu in load_gpus()) == tuple(ROWS)


def test_an_unknown_gpu_is_told_what_works() -> None:
    with pytest.raises(WseError, match="unknown GPU 'V100'; what works: A100, H100, H200, B200, GB200, MI300X"):
        load_gpu("V100")
