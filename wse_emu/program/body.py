"""Bodies (straight-line steps on one region) and the program that calls them, layer after layer.

A layer's body is emitted once and called for every layer that looks like it, each time with that layer's weights and
region: engines compile and time it once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from wse_emu.fabric.defects import Defects
from wse_emu.fabric.region import Region
from wse_emu.program.steps import Step
from wse_emu.program.value import Value


@dataclass(frozen=True, eq=False)
class Body:
    """Straight-line ``steps`` on a region of ``rows`` × ``cols`` PEs, from ``inputs`` to ``outputs``."""

    name: str
    rows: int
    cols: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    weights: tuple[Value, ...]
    states: tuple[Value, ...]
    steps: tuple[Step, ...]

    @cached_property
    def last_use(self) -> dict[str, int]:
        """Index of the last step that reads each value; outputs, weights and states are never dropped."""
        kept = {value.name for value in self.outputs + self.weights + self.states}
        uses = {value.name: i for i, step in enumerate(self.steps) for value in step.inputs}
        return {name: i for name, i in uses.items() if name not in kept}

    def __str__(self) -> str:
        head = f"body {self.name} on {self.cols}×{self.rows} PEs"
        held = [f"  weight {value}" for value in self.weights] + [f"  state {value}" for value in self.states]
        lines = [f"  {', '.join(map(str, step.outputs))} = {step}  # {step.kernel}" for step in self.steps]
        ends = [
            f"  input {', '.join(map(str, self.inputs))}",
            f"  return {', '.join(f'%{v.name}' for v in self.outputs)}",
        ]
        return "\n".join([head, ends[0], *held, *lines, ends[1]])


@dataclass(frozen=True)
class Expert:
    """Marks steps that only tokens take which the router of a layer sends to its expert ``number``."""

    layer: int
    number: int

    def slot(self, place: int) -> str:
        """The program's name for the output of the layer's chosen expert that is ``place``-th best."""
        return f"layers.{self.layer}.slot.{place}"


Routing = tuple[tuple[int, tuple[int, ...]], ...]
"""(layer, experts that a token meets there, the best first), layer after layer."""


@dataclass(frozen=True)
class Call:
    """Run ``body`` on ``region``.

    ``takes`` and ``gives`` name the program's values that become its inputs and that its outputs become, in order;
    ``prefix`` says whose weights and states it uses ("layers.3.", or "" for those of the whole model).
    """

    body: Body
    region: Region
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    prefix: str = ""
    expert: Expert | None = None
    """Whose step it is; None: every token's. What it gives then takes the name of its slot."""

    def __str__(self) -> str:
        weights = f" with {self.prefix}*" if self.prefix else ""
        return f"{', '.join(self.gives)} = {self.body.name}({', '.join(self.takes)}) on {self.region}{weights}"


@dataclass(frozen=True)
class Transfer:
    """Step `Move`: the program's value ``name``, split over the rows and copied along the columns, changes its region.

    ``value`` says how it lies. Both regions have equally many rows. Row i leaves through column ``i mod columns`` of
    its region (or as many from the right), goes along y to row i of the target and is multicast along that row
    (dimension order, y first): streams of different rows share a link only where the source has fewer columns than
    rows, or where some take a way around defects.
    """

    name: str
    value: Value
    source: Region
    target: Region
    kernel: str = "move"
    expert: Expert | None = None
    """Whose step it is; None: every token's. With ``back`` it moves what the expert gives."""
    back: bool = False
    also: tuple[Region, ...] = ()
    """Regions on the rows of the target that take the same streams, from which they are multicast to all."""

    @property
    def targets(self) -> tuple[Region, ...]:
        """All regions that it goes to, by their columns."""
        return tuple(sorted((self.target, *self.also), key=lambda region: region.x))

    @property
    def span(self) -> Region:
        """From the first column of its targets to the last one, on their rows."""
        first, last = self.targets[0], self.targets[-1]
        return Region(first.x, first.y, last.right - first.x, first.height)

    def __str__(self) -> str:
        targets = " and ".join(map(str, self.targets))
        return f"move {self.name} from {self.source} to {targets}  # {self.kernel}"


@dataclass(frozen=True, eq=False)
class Program:
    """One token: calls and moves in order, on a wafer with ``defects``. Prints as text, one step a line."""

    name: str
    steps: tuple[Call | Transfer, ...] = field(default_factory=tuple)
    defects: Defects = field(default_factory=Defects)

    @cached_property
    def bodies(self) -> tuple[Body, ...]:
        """Distinct bodies in order of first call."""
        return tuple(dict.fromkeys(step.body for step in self.steps if isinstance(step, Call)))

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(step for step in self.steps if isinstance(step, Call))

    @cached_property
    def experts(self) -> dict[int, int]:
        """How many experts have steps of their own, by layer; empty where every token takes all steps."""
        found: dict[int, set[int]] = {}
        for call in self.calls:
            if call.expert is not None:
                found.setdefault(call.expert.layer, set()).add(call.expert.number)
        return {layer: len(numbers) for layer, numbers in found.items()}

    def routed(self, routing: Routing) -> "Program":
        """What a token does that meets these experts; those on the same rows get what they take as one multicast."""
        if not self.experts:
            return self
        return Program(self.name, tuple(_merged(_taken(self.steps, routing))), self.defects)

    def __str__(self) -> str:
        return "\n\n".join([*map(str, self.bodies), f"program {self.name}\n" + "\n".join(f"  {s}" for s in self.steps)])


def _taken(steps: tuple[Call | Transfer, ...], routing: Routing) -> Iterator[Call | Transfer]:
    """The steps of all tokens and of the chosen experts, whose outputs bear the names of their slots."""
    places = {(layer, number): place for layer, chosen in routing for place, number in enumerate(chosen)}
    for step in steps:
        if step.expert is None:
            yield step
            continue
        place = places.get((step.expert.layer, step.expert.number))
        if place is not None and isinstance(step, Call):
            yield replace(step, gives=(step.expert.slot(place),))
        elif place is not None:
            assert isinstance(step, Transfer)
            yield replace(step, name=step.expert.slot(place)) if step.back else step


def _merged(steps: Iterator[Call | Transfer]) -> Iterator[Call | Transfer]:
    """Moves to experts one after another that go to the same rows become one."""
    held: dict[tuple[str, int], Transfer] = {}
    for step in steps:
        if isinstance(step, Transfer) and step.expert is not None and not step.back:
            key = step.name, step.target.y
            held[key] = replace(held[key], also=(*held[key].also, step.target)) if key in held else step
            continue
        yield from held.values()
        held.clear()
        yield step
    yield from held.values()
