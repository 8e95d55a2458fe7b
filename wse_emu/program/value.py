"""A tensor on a region: what it is, how it lies, and how many bytes of it each PE holds."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

from wse_emu.program.layout import Layout, grid
from wse_emu.program.precision import stored_bytes

Kind = Literal["input", "weight", "state", "temporary"]
WAVELET_BYTES = 4


@dataclass(frozen=True)
class Value:
    """A tensor of ``shape`` on a region of ``rows`` × ``cols`` PEs.

    Along the axes in ``partial`` every PE holds another summand (or candidate) of the tensor and a reduction is
    still due; along an axis that is neither in the layout nor partial, the PEs hold equal copies.
    ``slotted``: the first dimension counts positions of the KV cache, of which only the slots in use exist.
    ``group``: how many elements of a quantised matrix share a scale, along its last ``inputs`` dimensions within a PE.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    rows: int
    cols: int
    dtype: str = "float32"
    kind: Kind = "temporary"
    partial: frozenset[str] = frozenset()
    slotted: bool = False
    inputs: int = 0
    group: int = 0
    stacked: bool = False
    """The first dimension counts matrices, of which operations read some (experts)."""

    @cached_property
    def block(self) -> tuple[int, ...]:
        """The shape of one PE's piece."""
        return self.layout.block(self.shape, self.rows, self.cols)

    @property
    def grid(self) -> tuple[int, int, int]:
        """(rows, outer columns, inner columns) that hold distinct blocks: how engines stack them."""
        return grid(self.layout, self.shape, self.rows, self.cols)

    @cached_property
    def block_elements(self) -> int:
        return prod(self.block)

    @property
    def block_bytes(self) -> int:
        """Bytes on one PE."""
        return stored_bytes(self.dtype, self.block_elements, self._scales)

    @property
    def _scales(self) -> int:
        if not self.group:
            return 0
        outs = len(self.shape) - self.inputs
        return prod(self.block[:outs]) * -(-prod(self.block[outs:]) // self.group)

    @property
    def wavelets(self) -> int:
        """32-bit wavelets that carry one PE's piece."""
        return -(-self.block_bytes // WAVELET_BYTES)

    def wavelets_in_use(self, slots: int) -> int:
        """Wavelets that carry one PE's piece when ``slots`` of its positions are in use."""
        if not self.slotted:
            return self.wavelets
        elements = self.block_elements // self.block[0] * min(slots, self.block[0])
        return -(-stored_bytes(self.dtype, elements, 0) // WAVELET_BYTES)

    @property
    def padded_elements(self) -> int:
        """Elements over all PEs that hold distinct pieces, padding included."""
        return self.block_elements * prod(self.layout.extents(self.rows, self.cols))

    def varies(self, axis: str) -> bool:
        """Whether PEs along ``axis`` hold different contents."""
        return axis in self.partial or axis in self.layout.axes()

    def __str__(self) -> str:
        size = "×".join(map(str, self.shape)) or "scalar"
        partial = f" partial {'/'.join(sorted(self.partial))}" if self.partial else ""
        return f"%{self.name}: {self.dtype}[{size}] {self.layout}{partial}"
