"""What a charged cycle means: the costs that the timing engine uses and the wavelet engine will have to meet.

A *tick* is the smallest unit of time, 1 / ``ticks_per_cycle`` cycles, so that a link of 9/8 cycles per wavelet keeps
time in integers. One PE runs its instructions in order:

- ``compute``: ``vector_setup`` + ⌈elements / rate⌉ cycles a vector instruction.
- ``send(n)``: ``stream_setup``, then one wavelet a ``pace``; the PE is free when the last one has left.
- ``recv(n)``, ``recv_op(n)``: ``stream_setup``, then one wavelet a pace, no faster than wavelets arrive.
- ``recv_op_send(n)``: the same, and every combined wavelet goes on as soon as it is ready.
- In a shift, a microthread sends while the PE receives; the PE goes on when both are done.

A pace is the link interval, or the time of adding what a wavelet carries where that is longer (then in whole ticks, for
all PEs of the reduction).

A wavelet that leaves a PE is stored by the receiver after ``ramp + hops · hop + ramp + receive`` cycles; combined (and
passed on) after ``ramp + hops · hop + ramp + combine`` cycles: one *stage*. With a stream_setup of 0 this gives the
closed forms of Luczynski et al. (HPDC 2024, arXiv 2404.15888): a chain over P PEs takes B + (2·T_R + 2)(P − 1)
cycles, a broadcast B + P + 2·T_R.

Queues are taken as deep enough never to hold a sender back: exact while the receivers are ready, optimistic where one
is late by more than its queues hold.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program.ops import Work
from wse_emu.program.value import ITEMSIZE, WAVELET_BYTES


@dataclass(frozen=True)
class StreamCosts:
    """Costs of a stream in ticks."""

    setup: int
    pace: int
    """Between two wavelets of a stream."""
    ramps: int
    """Up from the sender and down to the receiver."""
    hop: int
    receive: int
    combine: int

    def stage(self, hops: int) -> int:
        """From a PE to the next that combines, ``hops`` away."""
        return self.ramps + hops * self.hop + self.combine


def stream_costs(spec: WaferSpec, dtype: str, *, combining: bool) -> StreamCosts:
    """Stream costs for elements of ``dtype``; a combining PE is no faster than it adds what a wavelet carries."""
    ticks = spec.ticks_per_cycle
    pace = Fraction(spec.link_interval)
    if combining:
        lanes = WAVELET_BYTES // ITEMSIZE[dtype]
        pace = max(pace, lanes / spec.rates[f"add_{rate_dtype(dtype)}"])
    return StreamCosts(
        setup=spec.stream_setup * ticks,
        pace=ceil(pace * ticks),
        ramps=2 * spec.ramp_cycles * ticks,
        hop=spec.hop_cycles * ticks,
        receive=spec.receive_cycles * ticks,
        combine=spec.combine_cycles * ticks,
    )


def rate_dtype(dtype: str) -> str:
    """The dtype whose rate counts: 32-bit integers move and compare as float32 does."""
    return "float32" if dtype == "int32" else dtype


def work_cycles(spec: WaferSpec, work: tuple[Work, ...], dtype: str) -> int:
    """Cycles of a PE's vector instructions, one after another."""
    rates = spec.rates
    kind = rate_dtype(dtype)
    return sum(spec.vector_setup + ceil(w.elements / rates[f"{w.unit}_{kind}"]) for w in work if w.elements)
