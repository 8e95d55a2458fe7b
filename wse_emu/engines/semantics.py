"""What a charged cycle means: the costs that the engines share. ``docs/machine.md`` defines the machine.

In short: a wavelet that leaves a PE is stored by the receiver after ``ramp + hops · hop + ramp + receive`` cycles;
combined (and passed on) after ``ramp + hops · hop + ramp + combine`` cycles: one *stage*. With a stream_setup of 0
this gives the closed forms of Luczynski et al. (HPDC 2024, arXiv 2404.15888): a chain over P PEs takes B + (2·T_R +
2)(P − 1) cycles, a broadcast B + P + 2·T_R. A stream of n wavelets at an interval of 9/8 cycles takes ⌈9n/8⌉.

A sender that is not awaited stops once the queues on its way are full.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod

from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Host, Local
from wse_emu.program.ops import OPS, Work
from wse_emu.program.precision import ITEMSIZE, QUANTISED
from wse_emu.program.value import WAVELET_BYTES

QUEUE = 2
"""The id of the queues that collectives use."""


@dataclass(frozen=True)
class StreamCosts:
    """Costs of a stream in cycles."""

    setup: int
    interval: Fraction
    """Cycles per wavelet."""
    ramp: int
    hop: int
    receive: int
    combine: int
    out_room: int
    """Wavelets in an out queue and on the ramp."""
    in_room: int
    """The same for an in queue."""

    def due(self, count: int) -> int:
        """When the ``count``-th wavelet of a stream is due, from its issue on."""
        return self.setup + due(count, self.interval)

    def stage(self, hops: int) -> int:
        """From a PE to the next that combines, ``hops`` away."""
        return 2 * self.ramp + hops * self.hop + self.combine

    @property
    def link_room(self) -> int:
        """Wavelets on a link and before the router at its end."""
        return self.hop + 1


def stream_costs(spec: WaferSpec, dtype: str, *, combining: bool) -> StreamCosts:
    """Stream costs for elements of ``dtype``; a combining PE is no faster than it adds what a wavelet carries."""
    return StreamCosts(
        setup=spec.stream_setup,
        interval=datapath_interval(spec, dtype) if combining else spec.link_interval,
        ramp=spec.ramp_cycles,
        hop=spec.hop_cycles,
        receive=spec.receive_cycles,
        combine=spec.combine_cycles,
        out_room=spec.output_queue_words[QUEUE // 2] + spec.ramp_cycles,
        in_room=spec.input_queue_words[QUEUE // 2] + spec.ramp_cycles,
    )


def datapath_interval(spec: WaferSpec, dtype: str = "float32") -> Fraction:
    """Cycles per wavelet of an instruction that adds: a link's interval, or the time of adding if longer, in cycles."""
    adding = WAVELET_BYTES // ITEMSIZE[dtype] / spec.rates[f"add_{rate_dtype(dtype)}"]
    return Fraction(ceil(adding)) if adding > spec.link_interval else spec.link_interval


def due(count: int, interval: Fraction) -> int:
    """G(k) = ⌈k · interval⌉: when the ``count``-th wavelet of a fresh stream is due."""
    return -(-count * interval.numerator // interval.denominator)


def rate_dtype(dtype: str) -> str:
    """The dtype whose rate counts: 32-bit integers move and compare as float32 does."""
    return "float32" if dtype == "int32" else dtype


def work_cycles(spec: WaferSpec, work: tuple[Work, ...], dtype: str) -> int:
    """Cycles of a PE's vector instructions, one after another.

    A row of a block takes ``row_cycles`` and whole groups of 64 bits; a run without rows takes its elements alone.
    """
    kind = rate_dtype(dtype)
    between = {"task": spec.task_cycles, "stream": spec.stream_setup, "vector": spec.vector_setup}
    return sum(
        between[w.unit] * w.elements
        if w.unit in between
        else _instruction_cycles(spec, w, spec.rates[f"{w.unit}_{kind}"], 8 // ITEMSIZE[kind])
        for w in work
    )


def _instruction_cycles(spec: WaferSpec, work: Work, rate: Fraction, lanes: int) -> int:
    if not work.elements:
        return 0
    issue = work.rounds * (spec.vector_setup + spec.loop_cycles) if work.rounds else spec.vector_setup
    if not work.rows:
        return issue + ceil(work.elements / rate)
    groups = -(-work.elements // (work.rows * lanes))
    return issue + ceil(work.rows * (spec.row_cycles + groups * lanes / rate))


def host_cycles(spec: WaferSpec, step: Host) -> int:
    """Cycles of a blocking exchange with the host: the bits at the edge's bandwidth, and the way there and back."""
    bits = 8 * sum(prod(v.shape) * ITEMSIZE[v.dtype] for v in step.inputs)
    return ceil((bits / spec.edge_bits_per_second + 2 * spec.edge_latency_seconds) * spec.clock_hz)


def local_cycles(spec: WaferSpec, step: Local, slots: int) -> int:
    """Cycles of a local operation on every PE."""
    work = OPS[step.op].work(step.inputs, step.outputs, step.attributes, slots)
    dtype = step.inputs[0].dtype if step.inputs else "float32"
    return work_cycles(spec, work, step.outputs[0].dtype if dtype in QUANTISED else dtype)
