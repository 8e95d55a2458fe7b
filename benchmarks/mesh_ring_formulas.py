"""The closed forms behind `mesh_ring`: what a stream, a stage and a step of a ring cost, summed up.

With σ set-up, β cycles a wavelet, r ramp, h a hop from member to member, c combine, v receive:
stage S = 2r + h + c, step of a ring σ + βn + 2r + 2h + c (its way back: v instead of c).
"""

from math import isqrt

from benchmarks.mesh_ring_costs import DTYPE, first
from wse_emu.engines.semantics import StreamCosts, stream_costs
from wse_emu.hardware.wafer import WaferSpec


def chain(spec: WaferSpec, count: int, wavelets: int) -> int:
    """All-reduce on a line: 2 (σ + βB) + (P − 1)(S + h) + 2r + v."""
    k = _costs(spec)
    return 2 * k.due(wavelets) + (count - 1) * (k.stage(1) + k.hop) + 2 * k.ramp + k.receive


def two_way(spec: WaferSpec, count: int, wavelets: int) -> int:
    """Both halves of a line, of four at least, to its middle: half the stages, and 2βB while that is within a stage."""
    k, half, stream = _costs(spec), count // 2, _costs(spec).due(wavelets)
    second = 2 * stream + (count - half - 1) * k.stage(1) + k.ramp + k.combine
    return max(second, stream + half * k.stage(1)) + stream + half * k.hop + 2 * k.ramp + k.receive


def mesh(spec: WaferSpec, count: int, wavelets: int) -> int:
    """The least of both on a line of ``count`` members and, twice, on the axes of their square."""
    side = isqrt(count)
    lines = [form(spec, count, wavelets) for form in (chain, two_way)]
    return min(*lines, *(2 * form(spec, side, wavelets) for form in (chain, two_way)))


def rings(spec: WaferSpec, count: int, wavelets: int) -> int:
    """Interleaved rings along both axes of a square of even side s, out and back: 4 (s − 1) steps.

    Of 2 (s − 1) steps around a ring in which two hops of s are single, three are single ones (all, where s is 2).
    """
    k, side = _costs(spec), isqrt(count)
    first = -(-wavelets // side)
    streams = 2 * (k.due(first) + k.due(-(-first // side)))
    fixed = 2 * (4 * k.ramp + 4 * k.hop + k.combine + k.receive)
    return (side - 1) * (streams + fixed) - 2 * k.hop * (3 if side > 2 else 2)


def round_walk(spec: WaferSpec, count: int, wavelets: int) -> int:
    """A ring that walks around a square of even side: 2 (P − 1) steps of one hop."""
    k, block = _costs(spec), -(-wavelets // count)
    return (count - 1) * (2 * k.due(block) + 2 * (2 * k.ramp + k.hop) + k.combine + k.receive)


def line_ring(spec: WaferSpec, count: int, wavelets: int) -> int:
    """One interleaved ring on a line of four members at least: 2 (P − 1) steps of two hops, but for three."""
    return round_walk(spec, count, wavelets) + (2 * (count - 1) - 3) * _costs(spec).hop


def even(spec: WaferSpec, count: int) -> int:
    """The vector from which on :func:`rings` are no slower than :func:`mesh`."""
    return first(lambda wavelets: rings(spec, count, wavelets) <= mesh(spec, count, wavelets))


def even_with_chains(spec: WaferSpec, count: int) -> float:
    """The same against chains on the square alone: (L_rings − L_square) / (2β (1 + 1/P)).

    The mesh streams 4βB, the rings 2βB (P − 1)/P; L is what else they take.
    """
    late = rings(spec, count, 0) - 2 * chain(spec, isqrt(count), 0)
    return late / float(2 * _costs(spec).interval * (count + 1) / count)


def _costs(spec: WaferSpec) -> StreamCosts:
    """The adding of a wavelet of float16 takes no longer than a link: one interval for all."""
    costs = stream_costs(spec, DTYPE, combining=True)
    assert costs.interval == spec.link_interval
    return costs
