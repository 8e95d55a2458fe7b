"""Quick choices by the timing model: which algorithm, which shape."""

from functools import cache

from wse_emu.engines.semantics import local_cycles
from wse_emu.engines.timing import collective_cycles
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import AllReduce, Body, Call, Local, Overlap, Program, Reduce
from wse_emu.program.schedule import candidates

NEGLIGIBLE = 0.03
"""Share of a reduction's cycles that one algorithm less on a line is worth: each takes two to five colors."""


class Estimator:
    """Durations on the wafer ``spec`` when every step waits for all PEs; remembers what it has computed and chosen."""

    def __init__(self, spec: WaferSpec) -> None:
        self.spec = spec
        self._collective = cache(self._collective_cycles)
        self.choose = cache(self._choose)
        self._chosen: dict[int, list[str]] = {}

    def _choose(self, extent: int, wavelets: int, dtype: str, back: bool) -> str:
        """What `auto` means: the algorithm that finishes first on a line of ``extent`` PEs.

        One that was chosen for this length before is kept if it is within NEGLIGIBLE of that, so that a region needs
        fewer colors; the answer therefore depends on what this estimator was asked before.
        """
        cycles = {name: self._collective(name, extent, wavelets, dtype, back) for name in candidates(extent)}
        best = min(cycles, key=cycles.__getitem__)
        chosen = self._chosen.setdefault(extent, [])
        known = next((name for name in chosen if cycles[name] <= (1 + NEGLIGIBLE) * cycles[best]), None)
        if known is None:
            chosen.append(best)
        return known or best

    def program_cycles(self, program: Program, position: int) -> int:
        """Cycles of a token at ``position``: an upper bound of the timing engine's, moves left out."""
        cycles: dict[Body, int] = {}
        total = 0
        for call in program.steps:
            if isinstance(call, Call):
                if call.body not in cycles:
                    cycles[call.body] = self.body_cycles(call.body, position // call.body.rows + 1)
                total += cycles[call.body]
        return total

    def body_cycles(self, body: Body, slots: int, *, choose: bool = False) -> int:
        """Cycles of one body's local work and reductions, one after another, with ``slots`` KV-cache slots in use.

        With ``choose``, as if its reductions were left to `auto`.
        """
        cycles = 0
        for step in body.steps:
            if isinstance(step, Local | Overlap):
                parts = (step,) if isinstance(step, Local) else step.meanwhile
                cycles += sum(local_cycles(self.spec, part, slots) for part in parts)
            elif isinstance(step, Reduce):
                extent = step.group or (body.rows if step.axis == "y" else body.cols)
                wavelets = sum(value.wavelets_in_use(slots) for value in step.inputs)
                back = isinstance(step, AllReduce)
                dtype, most = step.inputs[0].dtype, sum(value.wavelets for value in step.inputs)
                algorithm = self.choose(extent, most, dtype, back) if choose else step.algorithm
                cycles += self._collective(algorithm, extent, wavelets, dtype, back)
        return cycles

    def _collective_cycles(self, algorithm: str, extent: int, wavelets: int, dtype: str, back: bool) -> int:
        return collective_cycles(self.spec, algorithm, extent, wavelets, dtype, back=back)
