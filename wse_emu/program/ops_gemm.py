"""Local operations on tiles of matrices: what MeshGEMM and GEMM-T do on a PE.

Blocks end in the two dimensions of a matrix; those before them count matrices, and broadcast as numpy's do.
"""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, like
from wse_emu.program.value import Value


def ring_places(xp: Any, extent: int) -> Any:
    """Place on the interleaved ring (:func:`wse_emu.engines.lines.ring`) of every position of a line, int."""
    position = xp.arange(extent)
    return xp.where(position % 2 == 0, position // 2, extent - 1 - position // 2)


@dataclass(frozen=True)
class _Product:
    """What a PE multiplies: ``count`` products of (m, k) and (k, n)."""

    count: int
    m: int
    k: int
    n: int

    def work(self, *, fewest_rows: bool) -> tuple[Work, ...]:
        """For every product a loop over k of outer products: n rows of m elements each, or the other way around.

        As WaferLLM's MeshGEMM has it; with ``fewest_rows`` as is shorter.
        """
        rows = min(self.m, self.n) if fewest_rows else self.n
        rounds = self.count * self.k
        return (Work("fma", rounds * self.m * self.n, rows=rounds * rows, rounds=rounds),)


def _product_of(a: Value, w: Value, columns: int, *, summed: bool = False) -> _Product:
    """Matrices that share the other operand are side by side with it: they count as a wider, or a higher, one."""
    m, k = a.block[-2:]
    count, n = 1, columns
    for left, right in zip_longest(reversed(a.block[:-2]), reversed(w.block[:-2]), fillvalue=1):
        if left == right:
            count *= left
        elif right == 1:
            m *= left
        else:
            n *= right
    return _Product(1, m, count * k, n) if summed else _Product(count, m, k, n)


# c + a @ w with blocks (…, m, k) and (…, k, n)

OPS["gemm_add"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, _o, attributes, _s: _product_of(values[1], values[2], values[2].block[-1]).work(
        fewest_rows=attributes.get("fewest_rows", False)
    ),
    lambda moment, _a, c, a, b: (c + moment.xp.matmul(a, b),),
)


# The product alone: a @ w, or a @ wᵀ where ``transposed``; ``summed``: over all matrices, as if k counted them too


def _product_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    a, w = values
    longer = max(a.shape[:-2], w.shape[:-2], key=len)
    front = tuple(max(sizes) for sizes in zip_longest(a.shape[-3::-1], w.shape[-3::-1], fillvalue=1))[::-1]
    if attributes.get("summed"):
        front = front[:2] + (1,) * (len(longer) - 2)
    columns = w.shape[-2] if attributes.get("transposed") else w.shape[-1]
    return (like(a, shape=(*front, a.shape[-2], columns)),)


def _product(moment: Moment, attributes: Attributes, a: Any, w: Any) -> tuple[Any, ...]:
    xp = moment.xp
    found = xp.matmul(a, xp.matrix_transpose(w) if attributes.get("transposed") else w)
    if attributes.get("summed"):
        found = xp.sum(found, axis=tuple(range(5, found.ndim - 2)), keepdims=True)
    return (found,)


OPS["gemm"] = Op(
    _product_results,
    lambda values, outputs, attributes, _s: _product_of(
        values[0], values[1], outputs[0].block[-1], summed=attributes.get("summed", False)
    ).work(fewest_rows=True),
    _product,
)


# Of a skew by shifts of 1, 2, 4, … places along y: a column whose ring place has that bit keeps what came


def _keep_shifted(moment: Moment, attributes: Attributes, held: Any, came: Any) -> tuple[Any, ...]:
    xp, extent = moment.xp, held.shape[1]
    place = ring_places(xp, extent)
    bit = xp.reshape(place // 2 ** attributes["bit"] % 2 == 1, (1, extent, *(1,) * (held.ndim - 2)))
    return (xp.where(bit, came, held),)


OPS["keep_shifted"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("copy", outputs[0].block_elements),),
    _keep_shifted,
    exact=True,
)
