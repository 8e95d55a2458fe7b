"""The placement laboratory: a problem is plain data, a strategy is a function, one evaluator judges them all."""

from wse_emu.mappings.placement.problem import (
    Block,
    Flow,
    Objective,
    Placement,
    PlacementProblem,
    Shape,
    check_placement,
)

__all__ = ["Block", "Flow", "Objective", "Placement", "PlacementProblem", "Shape", "check_placement"]
