"""Local operations of latent attention, by their shapes: what they yield and cost; nothing computes them yet."""

from typing import Any

from wse_emu.errors import WseError
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, dequantising
from wse_emu.program.value import Value


def _stated(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    """As ``shape``, ``layout`` and ``partial`` say."""
    shape, layout, partial = (attributes[name] for name in ("shape", "layout", "partial"))
    return (Result(shape, layout, frozenset(partial), values[0].dtype),)


def _refused(_moment: Moment, _attributes: Attributes, *_arrays: Any) -> tuple[Any, ...]:
    raise WseError("latent attention is known by its shape alone: it can be timed and priced, not decoded")


def _by_head_work(
    values: tuple[Value, ...], _outputs: tuple[Value, ...], _attributes: Attributes, _slots: int
) -> tuple[Work, ...]:
    x, w = values
    return (*dequantising(w, w.block_elements, x.block_elements), Work("fma", w.block_elements, rows=x.block_elements))


OPS["by_head"] = Op(_stated, _by_head_work, _refused)
"""Every head's vector times its own matrix."""

OPS["relaid"] = Op(_stated, lambda _v, outputs, _a, _s: (Work("copy", outputs[0].block_elements),), _refused)
"""What of a copied tensor is to lie on this PE, or its own part of one that all are to hold, with zeros around it."""

OPS["turned"] = Op(
    lambda values, _a: (Result(values[0].shape, values[0].layout, values[0].partial, values[0].dtype),),
    lambda _v, outputs, _a, _s: (Work("add", outputs[0].block_elements), Work("fma", outputs[0].block_elements)),
    _refused,
)
"""The rotary embedding of elements whose pairs lie on one PE."""
