"""Bodies (straight-line steps on one region) and the program that calls them, layer after layer.

A layer's body is emitted once and called for every layer that looks like it, each time with that layer's weights and
region: engines compile and time it once.
"""

from dataclasses import dataclass, field
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

    def __str__(self) -> str:
        return f"move {self.name} from {self.source} to {self.target}  # {self.kernel}"


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

    def __str__(self) -> str:
        return "\n\n".join([*map(str, self.bodies), f"program {self.name}\n" + "\n".join(f"  {s}" for s in self.steps)])
