"""One token as spans of time: which kernel ran where, from one cycle to another."""

from dataclasses import dataclass

from wse_emu.engines.step_times import StepTimes
from wse_emu.fabric.region import Region
from wse_emu.program import Call, Program


@dataclass(frozen=True)
class Span:
    """A kernel at work on a region: between the cycles at which the region's last PE began it and finished it."""

    kernel: str
    step: int
    """Of the program: a call or a move."""
    region: Region
    start: int
    end: int


def spans(times: StepTimes) -> list[Span]:
    """A token's, in cycles since the latest PE finished the one before; a move's from when the sender began.

    What a region did before the token began (angles need nothing from it) is left out.
    """
    rows = times.rows
    start, end = (times.start - times.begin).tolist(), (times.end - times.begin).tolist()
    sender, found = rows.sender.tolist(), list[Span]()
    for i, (step, operation) in enumerate(zip(rows.call.tolist(), rows.operation, strict=True)):
        first = max(start[sender[i]] if operation == "receive" else start[i], 0)
        if operation == "send" or end[i] <= first:
            continue
        span = Span(rows.kernel[i], step, rows.region[i], first, end[i])
        if found and (span.kernel, span.step, span.region) == (found[-1].kernel, found[-1].step, found[-1].region):
            span = Span(span.kernel, step, span.region, found.pop().start, span.end)
        found.append(span)
    return found


def named_steps(program: Program) -> list[str]:
    """What a reader calls each step of ``program``: "layer 3", "embedding", "rope angles", or "to layer 3", a move."""
    names: list[str] = []
    following = ""
    for step in reversed(program.steps):
        if isinstance(step, Call):
            following = _name(step)
        names.append(following if isinstance(step, Call) else f"to {following}")
    return names[::-1]


def _name(step: Call) -> str:
    if step.prefix.startswith("layers."):
        return f"layer {step.prefix.split('.')[1]}"
    return {"embed": "embedding", "angles": "rope angles"}.get(step.body.name, step.body.name)
