"""The `timing` engine: when does every PE finish, and how many wavelets cross every link?

Max-plus arithmetic on whole regions: a clock per PE (int64 cycles), moved on by every step. It needs no data, so it
runs for models that fit no machine. What a charged cycle means is in :mod:`wse_emu.engines.semantics`; streams that
share a link are taken as if they had it alone.
"""

from functools import cached_property

import numpy as np

from wse_emu.engines.lines import (
    Crossings,
    arms,
    broadcast_crossings,
    reduce_crossings,
    shift_crossings,
    sources,
)
from wse_emu.engines.occupancy import computing_cycles, step_busy
from wse_emu.engines.semantics import StreamCosts, due, host_cycles, local_cycles, stream_costs
from wse_emu.engines.step_times import BodyRecorder
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import AllReduce, Body, Broadcast, Host, Local, Overlap, Reduce, Shift
from wse_emu.program.schedule import Schedule, schedule
from wse_emu.program.steps import Step

EAST, WEST, NORTH, SOUTH = range(4)


Seams = np.ndarray | None
"""What seams between dies add to a way from the line's first PE, int64 ``[line, …]`` as the clocks; None: nothing."""


def reduce_line(clock: np.ndarray, plan: Schedule, wavelets: int, costs: StreamCosts, seams: Seams = None) -> None:
    """Move ``clock`` ``[line, …]`` on by a reduction of ``wavelets`` per PE, in place."""
    for phase in plan.phases:
        if phase.places:
            _run_places(clock, phase.places, wavelets, costs, seams)
            continue
        over = None if seams is None else arms(seams, phase)
        _run_arms(arms(clock, phase), abs(phase.step), wavelets, costs, over)


def _run_places(clock: np.ndarray, places: tuple[int, ...], wavelets: int, costs: StreamCosts, seams: Seams) -> None:
    """An arm whose PEs lie at unequal distances: hops beyond the first are as much longer as a seam would make them.

    Queues on those hops hold more than is counted, so a sender may be told to wait a little too long.
    """
    index = list(places)
    hops = np.abs(np.array(index) - index[0]) - np.arange(len(index))
    farther = (hops * costs.hop).reshape((1, -1) + (1,) * (clock.ndim - 1))
    if seams is not None:
        farther = farther + np.abs(seams[index] - seams[index[0]])[None]
    part = clock[index][None]
    _run_arms(part, 1, wavelets, costs, farther)
    clock[index] = part[0]


def _run_arms(clock: np.ndarray, hops: int, wavelets: int, costs: StreamCosts, seams: Seams = None) -> None:
    """One phase: ``clock`` ``[arms, length, …]`` from the far end to the head, ``hops`` from PE to PE.

    A PE is done when its own stream is due, or that of any PE before it (stage after stage), or when a PE after it that
    started late has let the queues between them drain.
    """
    length = clock.shape[1]
    delay = _along(np.arange(length) * costs.stage(hops), clock)
    if seams is not None:
        delay = delay + np.abs(seams - seams[:, :1])
    started = clock + costs.setup if wavelets > _room(costs, hops, sender=True) else None
    ready = clock + (costs.due(wavelets) - delay)
    ready[:, 1:] += costs.ramp + costs.combine
    if started is not None:
        _hold_back(ready, started, hops, wavelets, costs, delay)
    np.maximum.accumulate(ready, axis=1, out=ready)
    np.add(ready, delay, out=clock)


def _room(costs: StreamCosts, hops: int, *, sender: bool) -> int:
    """Wavelets that a PE can be ahead of the next that combines, before that has begun; a `send` has no pipeline."""
    return costs.out_room + hops * costs.link_room + (0 if sender else costs.combine)


def _hold_back(  # noqa: PLR0917
    ready: np.ndarray, started: np.ndarray, hops: int, wavelets: int, costs: StreamCosts, delay: np.ndarray
) -> None:
    """Raise ``ready`` where a later PE of the arm, ``started`` late, keeps the queues full."""
    latest, earliest = int(started.max()), int((ready + delay).min())
    for ahead in range(1, ready.shape[1]):
        back = (hops + 1) + (ahead - 1) * (hops + 2)
        least = ahead * _room(costs, hops, sender=True) + (ahead - 1) * costs.in_room
        if latest + due(max(wavelets - least, 0), costs.interval) + back + costs.combine <= earliest:
            return  # the farther away, the more wavelets the queues between hold
        for first in (True, False):
            held = slice(0, 1) if first else slice(1, ready.shape[1] - ahead)
            room = ahead * _room(costs, hops, sender=False) - first * costs.combine + (ahead - 1) * costs.in_room
            if wavelets <= room or held.start >= held.stop:
                continue
            late = started[:, held.start + ahead : held.stop + ahead] + (due(wavelets - room, costs.interval) + back)
            late -= delay[:, held]
            if not first:
                late += costs.combine
            np.maximum(ready[:, held], late, out=ready[:, held])
        if wavelets <= (ahead + 1) * _room(costs, hops, sender=True):
            return


def _along(profile: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """``profile`` along the second axis of ``clock``."""
    return profile.reshape((1, -1) + (1,) * (clock.ndim - 2))


def broadcast_line(clock: np.ndarray, root: int, wavelets: int, costs: StreamCosts, seams: Seams = None) -> None:
    """Move ``clock`` ``[line, …]`` on by a multicast of ``wavelets`` from position ``root``, in place.

    A router passes the stream on once its own PE takes it, so the PEs behind a late one wait with it, and so do those
    before it once the links between them are full.
    """
    extent = clock.shape[0]
    if extent == 1:
        return
    moved = clock + costs.due(wavelets)
    sent = moved[root].copy()
    moved[root] += costs.ramp
    started = clock + costs.setup
    _pass_outwards(moved, root, costs, seams)
    if _hold_up(moved, started, root, wavelets, costs):
        _pass_outwards(moved, root, costs, seams)
    _sent_after(started, root, wavelets, costs, sent)
    np.add(moved, costs.ramp + costs.receive, out=clock)
    clock[root] = sent


def _pass_outwards(moved: np.ndarray, root: int, costs: StreamCosts, seams: Seams) -> None:
    """Raise ``moved``, when each router passes the last wavelet on, to what the routers before it allow."""
    for way in (slice(root, None), slice(root, None, -1)):
        outward = moved[way]
        delay = (np.arange(len(outward)) * costs.hop).reshape((-1,) + (1,) * (moved.ndim - 1))
        if seams is not None:
            delay = delay + np.abs(seams[way] - seams[root])
        np.subtract(outward, delay, out=outward)
        np.maximum.accumulate(outward, axis=0, out=outward)
        np.add(outward, delay, out=outward)


def _hold_up(moved: np.ndarray, started: np.ndarray, root: int, wavelets: int, costs: StreamCosts) -> bool:
    """Raise ``moved`` where a late PE further out holds the stream up, all queues between full; whether any can."""
    latest, room, held = int(started.max()), costs.link_room, False
    for ahead in range(1, (wavelets - 1) // room + 1):
        back = due(wavelets - ahead * room, costs.interval) + ahead
        if latest + back <= int(moved.min()) or ahead >= len(started):
            break
        held = True
        late = started + back
        right, left = late[root + ahead :], late[: max(root + 1 - ahead, 0)]
        np.maximum(moved[root : root + len(right)], right, out=moved[root : root + len(right)])
        inner = moved[root + 1 - len(left) : root + 1]
        np.maximum(inner, left, out=inner)
    return held


def _sent_after(started: np.ndarray, root: int, wavelets: int, costs: StreamCosts, sent: np.ndarray) -> None:
    """Raise ``sent`` ``[…]``, when the root has sent its last wavelet, where a late PE keeps its queues full."""
    latest = int(started.max())
    for distance in range(1, max(root, len(started) - 1 - root) + 1):
        over = wavelets - costs.out_room - distance * costs.link_room
        if over <= 0 or latest + due(over, costs.interval) + distance + 1 <= int(sent.min()):
            return
        for place in (root - distance, root + distance):
            if 0 <= place < len(started):
                late = started[place] + (due(over, costs.interval) + distance + 1)
                np.maximum(sent, late, out=sent)


def shift_line(clock: np.ndarray, distance: int, wavelets: int, costs: StreamCosts, seams: Seams = None) -> None:
    """Move ``clock`` ``[line, …]`` on by ``distance`` steps around the interleaved ring, in place.

    A PE sends and receives at once; it may be ahead of the PE that it sends to by what the queues between them hold.
    """
    extent = clock.shape[0]
    if extent == 1:
        return
    source = sources(extent, 1 if distance > 0 else -1)
    target = np.argsort(source)
    far = (-1,) + (1,) * (clock.ndim - 1)
    hops = np.abs(np.arange(extent) - source).reshape(far)
    way = hops * costs.hop + _between(seams, source)
    started: list[np.ndarray] = []
    for _ in range(abs(distance)):
        started.append(clock + costs.setup)
        sent = clock + costs.due(wavelets)
        for ahead, before in enumerate(reversed(started)):
            for span in (1, 2):
                left = (ahead + 1) * wavelets - (costs.out_room + span * costs.link_room)
                if 0 < left <= wavelets:
                    late = before[target] + (due(left, costs.interval) + span + 1)
                    np.maximum(sent, np.where(hops[target] == span, late, 0), out=sent)
        taken = np.maximum(clock + (costs.due(wavelets) + costs.ramp), sent[source] + (2 * costs.ramp + way))
        np.maximum(sent, taken + costs.receive, out=clock)


def _between(seams: Seams, source: np.ndarray) -> np.ndarray | int:
    """What seams add to the ways from ``source`` ``[line]`` to each PE."""
    return 0 if seams is None else np.abs(seams - seams[source])


def overlapping_shift(  # noqa: PLR0917
    clock: np.ndarray, distance: int, wavelets: int, others: int, costs: StreamCosts, seams: Seams = None
) -> np.ndarray:
    """When the PEs of ``clock`` ``[line, …]`` have passed ``wavelets`` one place on, while ``others`` share their ramp.

    All streams are taken to be done with the last wavelet that the PE sends. From equal clocks that is exact for a
    stream alone, and for several where an interval and a hop take a cycle each; else a PE may be done up to two cycles
    earlier: which stream is last depends on colors. What the queues of a late PE hold back is not counted.
    """
    extent = clock.shape[0]
    if extent == 1:
        return clock
    source = sources(extent, distance)
    hops = np.abs(np.arange(extent) - source).reshape((-1,) + (1,) * (clock.ndim - 1))
    sent = clock + costs.due(wavelets + others)
    way = hops * costs.hop + _between(seams, source)
    taken = np.maximum(sent, sent[source] + (costs.ramp + way)) + (costs.ramp + costs.receive)
    return np.asarray(np.maximum(sent, taken))


def collective_cycles(spec: WaferSpec, algorithm: str, extent: int, wavelets: int, dtype: str, *, back: bool) -> int:
    """Cycles until the last PE of a line has finished a reduction, with ``back`` the broadcast of its result too.

    The line has no place, and therefore no seams.
    """
    clock = np.zeros((extent, 1), dtype=np.int64)
    plan = schedule(algorithm, extent)
    reduce_line(clock, plan, wavelets, stream_costs(spec, dtype, combining=True))
    if not back:
        return int(clock[plan.root, 0])
    broadcast_line(clock, plan.root, wavelets, stream_costs(spec, dtype, combining=False))
    return int(clock.max())


def seam_delays(places: tuple[int, ...], cycles: int, extent: int) -> Seams:
    """What seams at ``places`` of a line of ``extent`` PEs add to a way from its first PE, int64 ``[line]``."""
    if not places or not cycles:
        return None
    return np.searchsorted(np.array(places), np.arange(extent), side="right") * cycles


class BodyClock:
    """The clocks of one region while a body runs: an array and a common offset, in cycles.

    ``seams``: rows and columns of the region at which seams between dies lie
    (:meth:`wse_emu.hardware.wafer.WaferSpec.seams_in`); by default those of a region in the wafer's corner.
    A ``recorder`` gets a row for every step.
    """

    def __init__(
        self,
        spec: WaferSpec,
        body: Body,
        start: np.ndarray,
        slots: int,
        seams: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
        *,
        recorder: BodyRecorder | None = None,
    ) -> None:
        self.spec, self.body, self.slots, self.recorder = spec, body, slots, recorder
        rows, columns = spec.seams_in(0, 0, body.cols, body.rows) if seams is None else seams
        self._seams = {
            "y": seam_delays(rows, spec.seam_cycles, body.rows),
            "x": seam_delays(columns, spec.seam_cycles, body.cols),
        }
        self.clock = start.copy()
        self.offset = 0
        self.kernel_cycles: dict[str, int] = {}
        self._ways = {axis: np.zeros((2, n), dtype=np.int64) for axis, n in (("y", body.rows), ("x", body.cols))}
        """Wavelets that leave each PE of a line forward and backward: all lines of an axis carry equally many."""
        self._latest = int(start.max())
        self._hops = 0
        """Wavelet-hops of the step at hand."""

    @cached_property
    def links(self) -> np.ndarray:
        """Wavelets that left every PE when all steps have run, int64 ``[E W N S, rows, cols]``."""
        links = np.empty((4, *self.clock.shape), dtype=np.int64)
        links[SOUTH], links[NORTH] = self._ways["y"][:, :, None]
        links[EAST], links[WEST] = self._ways["x"][:, None, :]
        return links

    def run(self) -> None:
        """All steps of the body."""
        for step in self.body.steps:
            self.step(step)

    def step(self, step: Step) -> None:
        """Move the clocks on by ``step``; the growth of the latest clock counts for the step's kernel."""
        before = self._latest + self.offset
        began = self._mean() if self.recorder else 0.0
        if isinstance(step, Local):
            self.offset += local_cycles(self.spec, step, self.slots)
        elif isinstance(step, Host):
            self._host(step)
        elif isinstance(step, Overlap):
            self._overlap(step)
            self._latest = int(self.clock.max())
        else:
            self._collective(step)
            self._latest = int(self.clock.max())
        growth = self._latest + self.offset - before
        self.kernel_cycles[step.kernel] = self.kernel_cycles.get(step.kernel, 0) + growth
        if self.recorder:
            self._record(self.recorder, step, before, began)

    def _mean(self) -> float:
        """Of the clocks of all PEs."""
        return float(self.clock.mean()) + self.offset

    def _record(self, recorder: BodyRecorder, step: Step, before: int, began: float) -> None:
        """One row: the region's latest clock before and after, and how long a PE waited, mean over all."""
        body, hops, self._hops = self.body, self._hops, 0
        axis, busy = step_busy(step, body.rows, body.cols, self.spec, self.slots)
        occupied = float(busy.sum()) / (body.rows if axis == 0 else body.cols)
        computing = computing_cycles(step, self.spec, self.slots)
        idle = max(0.0, self._mean() - began - occupied)
        recorder.add(before, self._latest + self.offset, computing, hops, idle)

    def _host(self, step: Host) -> None:
        """A blocking exchange holds every PE until the host has answered; an unawaited one costs the PEs nothing."""
        if step.blocking:
            self.offset += host_cycles(self.spec, step)
            self.clock[:] = self._latest

    def _overlap(self, step: Overlap) -> None:
        """All shifts start at once, beside the local work; the PE goes on when everything is done."""
        amounts = [
            sum(value.wavelets_in_use(self.slots) for value in shift.inputs) * (len(self._lines(shift.axis)) > 1)
            for shift in step.shifts
        ]
        done = self.clock + sum(local_cycles(self.spec, part, self.slots) for part in step.meanwhile)
        for shift, wavelets in zip(step.shifts, amounts, strict=True):
            lines = self._lines(shift.axis)
            costs = stream_costs(self.spec, shift.inputs[0].dtype, combining=False)
            others, seams = sum(amounts) - wavelets, self._along(shift.axis)
            shifted = overlapping_shift(lines, shift.distance, wavelets, others, costs, seams)
            np.maximum(done, shifted if shift.axis == "y" else shifted.T, out=done)
            self._count(shift.axis, shift_crossings(lines.shape[0], shift.distance), wavelets)
        self.clock[...] = done

    def _along(self, axis: str, extent: int | None = None) -> Seams:
        """Seam delays as the clocks of :meth:`_lines` lie, ``[line, 1]``, or in groups of ``extent`` PEs."""
        seams = self._seams[axis]
        if seams is None:
            return None
        if extent is None:
            return seams[:, None]
        groups = len(seams) // extent
        return np.ascontiguousarray(seams[: groups * extent].reshape(groups, extent).T)[:, :, None]

    def _lines(self, axis: str) -> np.ndarray:
        """Clocks ``[line, …]`` along ``axis``, as a view."""
        return self.clock if axis == "y" else self.clock.T

    def _count(self, axis: str, crossings: Crossings, wavelets: int, groups: int = 1) -> None:
        """Add a stream's wavelets to the links of both ways, group after group, on every line along ``axis``."""
        for way, times in zip(self._ways[axis], (crossings.forward, crossings.backward), strict=True):
            profile = np.tile(times * wavelets, groups)
            way[: profile.size] += profile
        crossed = int(crossings.forward.sum() + crossings.backward.sum())
        self._hops += crossed * wavelets * groups * self._lines(axis).shape[1]

    def _collective(self, step: Broadcast | Reduce | Shift) -> None:
        lines = self._lines(step.axis)
        wavelets = sum(value.wavelets_in_use(self.slots) for value in step.inputs)
        plain = stream_costs(self.spec, step.inputs[0].dtype, combining=False)
        if isinstance(step, Broadcast):
            broadcast_line(lines, step.root, wavelets, plain, self._along(step.axis))
            self._count(step.axis, broadcast_crossings(step.root, lines.shape[0]), wavelets)
        elif isinstance(step, Shift):
            shift_line(lines, step.distance, wavelets, plain, self._along(step.axis))
            self._count(step.axis, shift_crossings(lines.shape[0], step.distance), wavelets)
        else:
            self._reduce(step, lines, wavelets, plain)

    def _reduce(self, step: Reduce, lines: np.ndarray, wavelets: int, plain: StreamCosts) -> None:
        extent = step.group or lines.shape[0]
        groups = lines.shape[0] // extent
        plan = schedule(step.algorithm, extent)
        grouped = lines[: groups * extent].reshape(groups, extent, -1).swapaxes(0, 1)
        assert np.shares_memory(grouped, lines)
        seams = self._along(step.axis, extent)
        reduce_line(grouped, plan, wavelets, stream_costs(self.spec, step.inputs[0].dtype, combining=True), seams)
        self._count(step.axis, reduce_crossings(step.algorithm, extent), wavelets, groups)
        if isinstance(step, AllReduce):
            broadcast_line(grouped, plan.root, wavelets, plain, seams)
            self._count(step.axis, broadcast_crossings(plan.root, extent), wavelets, groups)
