"""The `timing` engine: when does every PE finish, and how many wavelets cross every link?

Max-plus arithmetic on whole regions: a clock per PE (int64 ticks), moved on by every step. It needs no data, so it
runs for models that fit no machine. What a charged cycle means is in :mod:`wse_emu.engines.semantics`.
"""

from math import ceil, prod

import numpy as np

from wse_emu.engines.lines import (
    Crossings,
    arms,
    broadcast_crossings,
    reduce_crossings,
    shift_crossings,
    sources,
)
from wse_emu.engines.semantics import StreamCosts, stream_costs, work_cycles
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import AllReduce, Body, Broadcast, Host, Local, Reduce, Shift
from wse_emu.program.ops import OPS
from wse_emu.program.schedule import Schedule, schedule
from wse_emu.program.steps import Step
from wse_emu.program.value import ITEMSIZE

EAST, WEST, NORTH, SOUTH = range(4)
Ways = tuple[np.ndarray, np.ndarray]


def reduce_line(clock: np.ndarray, plan: Schedule, wavelets: int, costs: StreamCosts) -> None:
    """Move ``clock`` ``[line, …]`` (ticks) on by a reduction of ``wavelets`` per PE, in place."""
    busy = costs.setup + wavelets * costs.pace
    for phase in plan.phases:
        view = arms(clock, phase)
        delay = np.arange(phase.length) * costs.stage(abs(phase.step))
        delay = delay.reshape((1, -1) + (1,) * (clock.ndim - 1))
        ready = view + (busy - delay)
        np.maximum.accumulate(ready, axis=1, out=ready)
        np.add(ready, delay, out=view)


def broadcast_line(clock: np.ndarray, root: int, wavelets: int, costs: StreamCosts) -> None:
    """Move ``clock`` ``[line, …]`` (ticks) on by a multicast of ``wavelets`` from position ``root``, in place."""
    if clock.shape[0] == 1:
        return
    busy = costs.setup + wavelets * costs.pace
    sent = clock[root] + busy
    distance = np.abs(np.arange(clock.shape[0]) - root) * costs.hop + (costs.ramps + costs.receive)
    distance = distance.reshape((-1,) + (1,) * (clock.ndim - 1))
    clock += busy
    np.maximum(clock, distance + sent, out=clock)
    clock[root] = sent


def shift_line(clock: np.ndarray, distance: int, wavelets: int, costs: StreamCosts) -> None:
    """Move ``clock`` ``[line, …]`` on by ``distance`` steps around the interleaved ring, in place."""
    extent = clock.shape[0]
    if extent == 1:
        return
    source = sources(extent, 1 if distance > 0 else -1)
    hops = np.abs(np.arange(extent) - source)
    travel = (costs.ramps + costs.receive + hops * costs.hop).reshape((-1,) + (1,) * (clock.ndim - 1))
    busy = costs.setup + wavelets * costs.pace
    for _ in range(abs(distance)):
        clock += busy
        np.maximum(clock, clock[source] + travel, out=clock)


def collective_ticks(spec: WaferSpec, algorithm: str, extent: int, wavelets: int, dtype: str, *, back: bool) -> int:
    """Ticks until the last PE of a line has finished a reduction, with ``back`` the broadcast of its result too."""
    clock = np.zeros(extent, dtype=np.int64)
    plan = schedule(algorithm, extent)
    reduce_line(clock, plan, wavelets, stream_costs(spec, dtype, combining=True))
    if not back:
        return int(clock[plan.root])
    broadcast_line(clock, plan.root, wavelets, stream_costs(spec, dtype, combining=False))
    return int(clock.max())


class BodyClock:
    """The clocks of one region while a body runs: an array and a common offset, in ticks."""

    def __init__(self, spec: WaferSpec, body: Body, start: np.ndarray, slots: int) -> None:
        self.spec, self.body, self.slots = spec, body, slots
        self.clock = start.copy()
        self.offset = 0
        self.kernel_ticks: dict[str, int] = {}
        self.links = np.zeros((4, body.rows, body.cols), dtype=np.int64)
        self._latest = int(start.max())

    def run(self) -> None:
        """All steps of the body."""
        for step in self.body.steps:
            self.step(step)

    def step(self, step: Step) -> None:
        """Move the clocks on by ``step``; the growth of the latest clock counts for the step's kernel."""
        before = self._latest + self.offset
        if isinstance(step, Local):
            self.offset += self._local_ticks(step)
        elif isinstance(step, Host):
            self._host(step)
        else:
            self._collective(step)
            self._latest = int(self.clock.max())
        growth = self._latest + self.offset - before
        self.kernel_ticks[step.kernel] = self.kernel_ticks.get(step.kernel, 0) + growth

    def _local_ticks(self, step: Local) -> int:
        work = OPS[step.op].work(step.inputs, step.outputs, step.attributes, self.slots)
        return work_cycles(self.spec, work, step.inputs[0].dtype) * self.spec.ticks_per_cycle

    def _host(self, step: Host) -> None:
        """A blocking exchange holds every PE until the host has answered; an unawaited one costs the PEs nothing."""
        if step.blocking:
            bits = 8 * sum(prod(v.shape) * ITEMSIZE[v.dtype] for v in step.inputs)
            seconds = bits / self.spec.edge_bits_per_second + 2 * self.spec.edge_latency_seconds
            self.offset += ceil(seconds * self.spec.clock_hz) * self.spec.ticks_per_cycle
            self.clock[:] = self._latest

    def _collective(self, step: Broadcast | Reduce | Shift) -> None:
        along_y = step.axis == "y"
        lines = self.clock if along_y else self.clock.T
        ways = (self.links[SOUTH], self.links[NORTH]) if along_y else (self.links[EAST].T, self.links[WEST].T)
        wavelets = sum(value.wavelets_in_use(self.slots) for value in step.inputs)
        plain = stream_costs(self.spec, step.inputs[0].dtype, combining=False)
        if isinstance(step, Broadcast):
            broadcast_line(lines, step.root, wavelets, plain)
            _count(ways, broadcast_crossings(step.root, lines.shape[0]), wavelets)
        elif isinstance(step, Shift):
            shift_line(lines, step.distance, wavelets, plain)
            _count(ways, shift_crossings(lines.shape[0], step.distance), wavelets)
        else:
            self._reduce(step, lines, ways, wavelets, plain)

    def _reduce(self, step: Reduce, lines: np.ndarray, ways: Ways, wavelets: int, plain: StreamCosts) -> None:
        extent = step.group or lines.shape[0]
        groups = lines.shape[0] // extent
        plan = schedule(step.algorithm, extent)
        grouped = lines[: groups * extent].reshape(groups, extent, -1).swapaxes(0, 1)
        assert np.shares_memory(grouped, lines)
        reduce_line(grouped, plan, wavelets, stream_costs(self.spec, step.inputs[0].dtype, combining=True))
        _count(ways, reduce_crossings(step.algorithm, extent), wavelets, groups)
        if isinstance(step, AllReduce):
            broadcast_line(grouped, plan.root, wavelets, plain)
            _count(ways, broadcast_crossings(plan.root, extent), wavelets, groups)


def _count(ways: Ways, crossings: Crossings, wavelets: int, groups: int = 1) -> None:
    """Add a stream's wavelets to the links ``[line, other]`` of both ways, group after group."""
    for way, times in zip(ways, (crossings.forward, crossings.backward), strict=True):
        profile = np.tile(times * wavelets, groups)
        way[: profile.size] += profile[:, None]
