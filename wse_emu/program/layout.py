"""How a tensor lies on a region: which dimension is split over which axis of the mesh.

Written like JAX's PartitionSpec: ``("y", "x")`` splits the first dimension over the rows and the second over the
columns; ``None`` keeps a dimension whole on every PE. One axis may be factored: with ``inner=g`` the columns are
taken as ``columns // g`` groups of ``g`` neighbours, ``"x.outer"`` is the group and ``"x.inner"`` the place in it;
columns left over stay idle.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from wse_emu.errors import WseError

ENTRIES = ("x", "y", "x.outer", "x.inner", "y.outer", "y.inner", None)


@dataclass(frozen=True)
class Layout:
    """``dims[i]`` is the mesh axis that splits dimension i; ``inner`` the size of a factored axis's groups."""

    dims: tuple[str | None, ...]
    inner: int = 1

    def __post_init__(self) -> None:
        for entry in self.dims:
            if entry not in ENTRIES:
                raise WseError(f"layout {self}: {entry!r} is no mesh axis; what works: {', '.join(map(str, ENTRIES))}")
        used = [entry for entry in self.dims if entry is not None]
        if len(used) != len(set(used)):
            raise WseError(f"layout {self}: a mesh axis splits one dimension at most")

    def __str__(self) -> str:
        text = ", ".join(entry or "·" for entry in self.dims)
        return f"({text})" if self.inner == 1 else f"({text}; inner {self.inner})"

    def axes(self) -> frozenset[str]:
        """The mesh axes ("x", "y") over which this layout splits something."""
        return frozenset(entry[0] for entry in self.dims if entry is not None)

    def extent(self, entry: str | None, rows: int, cols: int) -> int:
        """Into how many pieces a dimension with this entry is cut on a region of ``rows`` × ``cols`` PEs."""
        if entry is None:
            return 1
        size = cols if entry[0] == "x" else rows
        if entry.endswith(".outer"):
            return size // self.inner
        return self.inner if entry.endswith(".inner") else size

    def extents(self, rows: int, cols: int) -> tuple[int, ...]:
        return tuple(self.extent(entry, rows, cols) for entry in self.dims)

    def block(self, shape: tuple[int, ...], rows: int, cols: int) -> tuple[int, ...]:
        """The shape of the piece on one PE, padded up where the size does not divide."""
        if len(shape) != len(self.dims):
            raise WseError(f"layout {self} has {len(self.dims)} dimensions, the tensor {shape} has {len(shape)}")
        return tuple(-(-size // extent) for size, extent in zip(shape, self.extents(rows, cols), strict=True))


def _order(layout: Layout, axis: str) -> list[int]:
    """Dimensions split over ``axis``, the outer factor first."""
    picked = [i for i, entry in enumerate(layout.dims) if entry is not None and entry[0] == axis]
    return sorted(picked, key=lambda i: str(layout.dims[i]).endswith(".inner"))


def to_blocks(xp: Any, array: Any, layout: Layout, rows: int, cols: int) -> Any:
    """Cut ``array`` into blocks ``[rows or 1, cols or 1, *block]``; 1 where nothing is split over that axis.

    Sizes that do not divide are padded with zeros; so are PEs that a factored axis leaves idle.
    """
    extents, block = layout.extents(rows, cols), layout.block(array.shape, rows, cols)
    padded = tuple(e * b for e, b in zip(extents, block, strict=True))
    array = _pad(xp, array, padded)
    array = xp.reshape(array, tuple(n for pair in zip(extents, block, strict=True) for n in pair))
    over_y, over_x = _order(layout, "y"), _order(layout, "x")
    whole = [i for i, entry in enumerate(layout.dims) if entry is None]
    array = xp.permute_dims(array, tuple(2 * i for i in over_y + over_x + whole) + tuple(2 * i + 1 for i in range(len(block))))
    height, width = prod(extents[i] for i in over_y), prod(extents[i] for i in over_x)
    array = xp.reshape(array, (height, width, *block))
    return _pad(xp, array, (rows if over_y else 1, cols if over_x else 1, *block))


def from_blocks(xp: Any, blocks: Any, shape: tuple[int, ...], layout: Layout, rows: int, cols: int) -> Any:
    """The tensor of ``shape`` whose blocks these are: the inverse of :func:`to_blocks`, padding dropped."""
    extents, block = layout.extents(rows, cols), layout.block(shape, rows, cols)
    over_y, over_x = _order(layout, "y"), _order(layout, "x")
    height, width = prod(extents[i] for i in over_y), prod(extents[i] for i in over_x)
    blocks = blocks[:height, :width, ...]
    blocks = xp.reshape(blocks, tuple(extents[i] for i in over_y + over_x) + block)
    place = {dim: position for position, dim in enumerate(over_y + over_x)}
    offset = len(place)
    order = [p for i in range(len(block)) for p in ((place[i], offset + i) if i in place else (offset + i,))]
    blocks = xp.reshape(xp.permute_dims(blocks, tuple(order)), tuple(e * b for e, b in zip(extents, block, strict=True)))
    return blocks[tuple(slice(0, size) for size in shape)]


def _pad(xp: Any, array: Any, shape: tuple[int, ...]) -> Any:
    for axis, size in enumerate(shape):
        missing = size - array.shape[axis]
        if missing:
            filler = xp.zeros((*array.shape[:axis], missing, *array.shape[axis + 1 :]), dtype=array.dtype)
            array = xp.concat([array, filler], axis=axis)
    return array
