"""Number types: how many bits each takes, which arrays hold it, and which a decode uses where."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

import ml_dtypes
import numpy as np

from wse_emu.errors import WseError

BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "int32": 32, "int8": 8, "int4": 4}
"""Bits of an element; quantised elements have scales beside them (:data:`SCALE_BYTES`)."""
ITEMSIZE = {name: bits // 8 for name, bits in BITS.items() if bits >= 16}
"""Bytes of an element that arithmetic works on."""
ARRAY_TYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "int32": np.dtype(np.int32),
}
"""What numpy holds elements in that arithmetic works on."""
FLOATS = ("float32", "float16", "bfloat16")
QUANTISED = {"int8": 127, "int4": 7}
"""Types of weights that a PE dequantises before it multiplies, and their largest integer: they are symmetric."""
SCALE_BYTES = 2
"""A group's scale is a float16."""
DEQUANTISED = "float16"
"""What a PE makes of quantised weights: the product of integer and scale, rounded."""


@dataclass(frozen=True)
class Precision:
    """Which type is used where. :data:`PRESETS` has the usual ones; a new one is another instance.

    ``weights``: what matrices are stored as; ``activations``: what everything else is stored and sent as: the KV
    cache, norms and biases, every local operation's result, and what reductions add; ``group``: how many weights share
    a scale where they are quantised, along the input and within a PE.
    """

    name: str
    weights: str
    activations: str
    group: int = 32

    accumulate: str = field(default="float32", init=False)
    """What a PE computes in: products of 16-bit numbers are summed in float32 (CSL's `@fmachs`), rounded once."""

    def __post_init__(self) -> None:
        if self.activations not in FLOATS:
            raise WseError(f"precision {self.name}: activations in {self.activations}; {', '.join(FLOATS)} work")
        if self.weights not in {*FLOATS, *QUANTISED}:
            works = ", ".join([*FLOATS, *QUANTISED])
            raise WseError(f"precision {self.name}: weights in {self.weights}; {works} work")
        if self.weights in QUANTISED and self.activations != DEQUANTISED:
            raise WseError(f"precision {self.name}: {self.weights} weights go with {DEQUANTISED} activations alone")
        if self.group < 1:
            raise WseError(f"precision {self.name}: groups of {self.group} weights; at least 1 works")

    def __str__(self) -> str:
        return self.name

    @property
    def wire(self) -> str:
        """What travels between PEs: activations. An RMS norm's sum of squares alone goes as float32."""
        return self.activations

    @property
    def weight_bytes(self) -> Fraction:
        """Of a stored weight, its share of the scale of a full group included."""
        scale = Fraction(SCALE_BYTES, self.group) if self.weights in QUANTISED else 0
        return Fraction(BITS[self.weights], 8) + scale


PRESETS = {
    name: Precision(name, weights=name, activations=DEQUANTISED if name in QUANTISED else name)
    for name in (*FLOATS, *QUANTISED)
}


def find_precision(precision: str | Precision) -> Precision:
    """The preset of that name, or the one given; WseError for an unknown name."""
    if isinstance(precision, Precision):
        return precision
    if precision not in PRESETS:
        raise WseError(f"unknown precision {precision!r}; what works: {', '.join(PRESETS)}")
    return PRESETS[precision]


def stored_bytes(dtype: str, elements: int, scales: int) -> int:
    """Bytes of a block of ``elements`` with ``scales``: 4-bit elements lie two to a byte."""
    return ceil(elements * BITS[dtype] / 8) + SCALE_BYTES * scales


def round_to(array: np.ndarray, dtype: str) -> np.ndarray:
    """``array`` as ``dtype``, to nearest, ties to even; what is too large becomes infinite, as on the machine."""
    with np.errstate(over="ignore"):
        return array.astype(ARRAY_TYPES[dtype], copy=False)


def quantise(array: np.ndarray, dtype: str, group: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers (int8) of the shape of ``array`` ``(PEs, in, out)``, and scales ``(PEs, groups, out)`` float16.

    Each run of ``group`` elements along the second axis shares a scale, the last run perhaps a shorter one: the
    largest magnitude over the largest integer, rounded up to a float16, so that no element is cut off and none is
    farther than half a scale from what ``integers × scale`` gives. Raises WseError where no float16 is large enough.
    """
    largest = QUANTISED[dtype]
    starts = np.arange(0, array.shape[1], group)
    wanted = np.maximum.reduceat(np.abs(array), starts, axis=1) / np.float32(largest)
    if not wanted.max(initial=0) <= np.finfo(np.float16).max:
        raise WseError(f"weights up to {np.abs(array).max():g} are too large for {dtype} with float16 scales")
    scales = wanted.astype(np.float16)
    scales = np.where(scales < wanted, np.nextafter(scales, np.float16(np.inf)), scales)
    per_element = _spread(scales, array.shape[1], group)
    integers = np.rint(np.divide(array, per_element, out=np.zeros_like(array), where=per_element > 0))
    return np.clip(integers, -largest, largest).astype(np.int8), scales


def dequantise(integers: np.ndarray, scales: np.ndarray, group: int) -> np.ndarray:
    """``integers × scale`` as float32, exact: 8 bits times the 11 of a float16."""
    restored: np.ndarray = integers * _spread(scales, integers.shape[1], group)
    return restored


def _spread(scales: np.ndarray, elements: int, group: int) -> np.ndarray:
    return np.repeat(scales.astype(np.float32), group, axis=1)[:, :elements]
