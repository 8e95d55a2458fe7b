"""Whole-wafer arrays as text: what is regular over a region becomes zeros, which deflate to almost nothing.

Each element is stored less what its neighbours above, to the left and above left predict (up + left − upper left),
modulo 2^32, byte by byte of all elements, deflated, in base64. `js/10-arrays.js` is the other side.
"""

import base64
import zlib
from typing import Any

import numpy as np

from wse_emu.errors import WseError

LOW_BITS = 30
"""Larger numbers are stored in two parts."""


def encode(array: np.ndarray) -> dict[str, Any]:
    """Integers of any shape, exactly, as a shape and base64; WseError for what needs more than 53 bits."""
    values = np.atleast_2d(np.asarray(array, dtype=np.int64))
    if values.size and np.abs(values).max() >= 2**53:
        raise WseError("a number of 2^53 or more cannot be shown exactly by a browser; a shorter run works")
    found: dict[str, Any] = {"shape": list(values.shape), "data": _pack(values & (2**LOW_BITS - 1))}
    if (high := values >> LOW_BITS).any():
        found["high"] = _pack(high)
    return found


def _pack(values: np.ndarray) -> str:
    left_out = np.diff(np.diff(values, axis=-1, prepend=0), axis=-2, prepend=0).astype(np.uint32)
    planes = np.ascontiguousarray(left_out.astype("<u4").reshape(-1, 1).view(np.uint8).T)
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")


def decode(found: dict[str, Any]) -> np.ndarray:
    """What :func:`encode` was given, int64 of at least two dimensions."""
    values = _unpack(found["data"], found["shape"])
    return values + (_unpack(found["high"], found["shape"]) << LOW_BITS) if "high" in found else values


def _unpack(text: str, shape: list[int]) -> np.ndarray:
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(4, -1)
    left_out = np.ascontiguousarray(planes.T).view("<u4").reshape(shape)
    summed = left_out.cumsum(axis=-1, dtype=np.uint32).cumsum(axis=-2, dtype=np.uint32)
    return summed.view(np.int32).astype(np.int64)
