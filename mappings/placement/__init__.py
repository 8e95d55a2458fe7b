"""The placement laboratory: a problem is plain data, a strategy is a function, one evaluator judges them all."""

from wse_emu.mappings.placement.placement import Placement, check_placement
from wse_emu.mappings.placement.problem import (
    Block,
    Charges,
    Flow,
    Objective,
    PlacementProblem,
    Shape,
)

__all__ = ["Block", "Charges", "Flow", "Objective", "Placement", "PlacementProblem", "Shape", "check_placement"]
