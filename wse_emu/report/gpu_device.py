"""Timing on a GPU, through jax or cupy: a copy, and matrix-vector products whose weights no cache holds."""

from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np

from wse_emu.errors import WseError

LIBRARIES = ("jax", "cupy")
DEVICES = ("cuda", "cpu")
COPY_BYTES = 1 << 30
STREAM_BYTES = 1 << 29
"""Of weights that a timed run reads: several times any GPU's L2."""
CACHE_BYTES = 1 << 28
"""The largest last-level cache, MI300X's (gpus.toml)."""
MOST_MATRICES = 64
"""Of a timed run, which is compiled as a whole."""
REPEATS = 10
_NONE = "no CUDA device is found through {}; wse-emu bench gpu measures on one, --device cpu makes a dry run"


class JaxDevice:
    """A device of jax; a timed run is one compiled call."""

    library = "jax"

    def __init__(self, device: Any) -> None:
        import jax

        self._jax, self._device = jax, device
        self.name: str = device.device_kind if device.platform != "cpu" else "cpu"
        self.dtype = "bfloat16"

    def copy_seconds(self, count: int) -> float:
        """Seconds of reading ``count`` bytes and writing them elsewhere."""
        source = self._put((count // 4,), "float32")
        return self._best(self._jax.jit(lambda x: x + 1), source)

    def gemv_seconds(self, rows: int, cols: int, count: int) -> float:
        """Seconds of a vector of ``rows`` times a matrix (rows, cols), in the mean of ``count`` of them."""
        inputs = [self._put((1, rows), self.dtype) for _ in range(count)]  # each its own: equal ones would be merged
        weights = [self._put((rows, cols), self.dtype) for _ in range(count)]
        products = self._jax.jit(lambda xs, ws: [x @ w for x, w in zip(xs, ws, strict=True)])
        return self._best(products, inputs, weights) / count

    def _put(self, shape: tuple[int, ...], dtype: str) -> Any:
        return self._jax.device_put(np.ones(shape, self._jax.numpy.dtype(dtype)), self._device)

    def _best(self, function: Callable[..., Any], *arguments: Any) -> float:
        self._jax.block_until_ready(function(*arguments))
        best = float("inf")
        for _ in range(REPEATS):
            started = perf_counter()
            self._jax.block_until_ready(function(*arguments))
            best = min(best, perf_counter() - started)
        return best


class CupyDevice:
    """A CUDA device of cupy; the launches of a timed run are enqueued one by one."""

    library = "cupy"

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self.name: str = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        self.dtype = "float16"

    def copy_seconds(self, count: int) -> float:
        source = self._cupy.ones(count // 4, dtype="float32")
        target = self._cupy.empty_like(source)
        return self._best(lambda: self._cupy.copyto(target, source))

    def gemv_seconds(self, rows: int, cols: int, count: int) -> float:
        x = self._cupy.ones((1, rows), dtype=self.dtype)
        weights = [self._cupy.ones((rows, cols), dtype=self.dtype) for _ in range(count)]
        return self._best(lambda: [x @ w for w in weights]) / count

    def _best(self, function: Callable[[], Any]) -> float:
        function()
        best = float("inf")
        for _ in range(REPEATS):
            begin, end = self._cupy.cuda.Event(), self._cupy.cuda.Event()
            begin.record()
            function()
            end.record()
            end.synchronize()
            best = min(best, self._cupy.cuda.get_elapsed_time(begin, end) / 1e3)
        return best


Device = JaxDevice | CupyDevice


def open_device(device: str, library: str | None) -> Device:
    """The first ``device`` (cuda or cpu) of ``library``, or of the first that has one.

    Raises WseError where there is none, or for a name that is unknown.
    """
    if device not in DEVICES:
        raise WseError(f"--device {device}: {' or '.join(DEVICES)} works")
    if library is not None and library not in LIBRARIES:
        raise WseError(f"--library {library}: {' or '.join(LIBRARIES)} works")
    if device == "cpu":
        if library == "cupy":
            raise WseError("--device cpu: cupy has no CPU device; --library jax works")
        import jax

        return JaxDevice(jax.devices("cpu")[0])
    asked = (library,) if library else LIBRARIES
    for name in asked:
        found = _jax_gpu() if name == "jax" else _cupy_gpu()
        if found is not None:
            return found
    raise WseError(_NONE.format(" or ".join(asked)))


def _jax_gpu() -> JaxDevice | None:
    import jax

    with suppress(RuntimeError):  # jax's word for an unknown backend
        return JaxDevice(jax.devices("cuda")[0])
    return None


def _cupy_gpu() -> CupyDevice | None:
    try:
        import cupy

        return CupyDevice(cupy) if cupy.cuda.runtime.getDeviceCount() else None
    except Exception:  # noqa: BLE001  (not installed, no driver, an old driver: each its own kind)
        return None
