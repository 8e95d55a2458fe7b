import pytest

from wse_emu.hardware import load_gpu, load_wafer
from wse_emu.models.known import load_config
from wse_emu.systems import Asked, Comparison, compare_systems


@pytest.fixture(scope="session")
def found() -> Comparison:
    """Llama-3.1-8B on one wafer at most, which holds the caches of one user and not those of 256."""
    gpus = [load_gpu(name) for name in ("A100", "H100", "B200", "GB200")]
    return compare_systems(load_config("llama-3.1-8b"), load_wafer("wse3"), Asked((256, 1), wafers=1), gpus, name="8b")
