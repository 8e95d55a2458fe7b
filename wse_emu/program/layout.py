"""How a tensor lies on a region: which dimension is split over which axis of the mesh.

Written like JAX's PartitionSpec: ``("y", "x")`` splits the first dimension over the rows and the second over the
columns; ``None`` keeps a dimension whole on every PE. The columns may be factored: with ``inner=g`` they are taken as
``columns // g`` groups of ``g`` neighbours, ``"x.outer"`` is the group and ``"x.inner"`` the place in it; columns left
over stay idle.
"""

from dataclasses import dataclass
from typing import Any

from wse_emu.errors import WseError

ENTRIES = ("x", "y", "x.outer", "x.inner", None)


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
        if len(used) != len(set(used)) or ("x" in used and {"x.outer", "x.inner"} & set(used)):
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


def grid(layout: Layout, shape: tuple[int, ...], rows: int, cols: int) -> tuple[int, int, int]:
    """(rows, outer columns, inner columns) of the PEs that hold something; 1 along an axis that splits nothing.

    Rows and outer columns at the end whose blocks would be nothing but padding are left out.
    """
    used = {"y": 1, "x": 1, "x.outer": 1}
    for entry, size, block in zip(layout.dims, shape, layout.block(shape, rows, cols), strict=True):
        if entry in used:
            used[str(entry)] = -(-size // block)
    inner = layout.inner if "x.inner" in layout.dims else 1
    return used["y"], max(used["x"], used["x.outer"]), inner


def _split_dims(layout: Layout) -> list[int]:
    """Dimensions split over y, then x or its outer factor, then its inner factor."""
    order = {"y": 0, "x": 1, "x.outer": 1, "x.inner": 2}
    return sorted((i for i, entry in enumerate(layout.dims) if entry), key=lambda i: order[str(layout.dims[i])])


def to_blocks(xp: Any, array: Any, layout: Layout, rows: int, cols: int) -> Any:
    """Cut ``array`` into blocks ``[rows, outer columns, inner columns, *block]`` as :func:`grid` counts them.

    Sizes that do not divide are padded with zeros.
    """
    block, held = layout.block(array.shape, rows, cols), grid(layout, array.shape, rows, cols)
    extents = tuple(held[_GRID_AXIS[entry]] if entry else 1 for entry in layout.dims)
    array = _pad(xp, array, tuple(e * b for e, b in zip(extents, block, strict=True)))
    array = xp.reshape(array, tuple(n for pair in zip(extents, block, strict=True) for n in pair))
    whole = [i for i, entry in enumerate(layout.dims) if entry is None]
    front = tuple(2 * i for i in _split_dims(layout) + whole)
    array = xp.permute_dims(array, front + tuple(2 * i + 1 for i in range(len(block))))
    return xp.reshape(array, (*held, *block))


def from_blocks(xp: Any, blocks: Any, shape: tuple[int, ...], layout: Layout, rows: int, cols: int) -> Any:  # noqa: PLR0917
    """The tensor of ``shape`` whose blocks these are: the inverse of :func:`to_blocks`, padding dropped."""
    block, held = layout.block(shape, rows, cols), grid(layout, shape, rows, cols)
    split = _split_dims(layout)
    blocks = xp.reshape(blocks, tuple(held[_GRID_AXIS[layout.dims[i]]] for i in split) + block)
    place = {dim: position for position, dim in enumerate(split)}
    offset = len(split)
    order = tuple(p for i in range(len(block)) for p in ((place[i], offset + i) if i in place else (offset + i,)))
    extents = tuple(held[_GRID_AXIS[entry]] if entry else 1 for entry in layout.dims)
    blocks = xp.reshape(xp.permute_dims(blocks, order), tuple(e * b for e, b in zip(extents, block, strict=True)))
    return blocks[tuple(slice(0, size) for size in shape)]


_GRID_AXIS: dict[str | None, int] = {"y": 0, "x": 1, "x.outer": 1, "x.inner": 2}


def _pad(xp: Any, array: Any, shape: tuple[int, ...]) -> Any:
    for axis, size in enumerate(shape):
        missing = size - array.shape[axis]
        if missing:
            filler = xp.zeros((*array.shape[:axis], missing, *array.shape[axis + 1 :]), dtype=array.dtype)
            array = xp.concat([array, filler], axis=axis)
    return array
