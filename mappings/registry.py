"""Mappings by name."""

from wse_emu.errors import WseError
from wse_emu.mappings.pipeline import pipeline
from wse_emu.mappings.plan import EXPERTS, Mapping, Plan, Request
from wse_emu.mappings.shared import shared

MAPPINGS: dict[str, Mapping] = {"shared": shared, "pipeline": pipeline}


def make_plan(mapping: str, request: Request) -> Plan:
    """Map the model; WseError for an unknown mapping, or a model that does not fit, with what would."""
    if mapping not in MAPPINGS:
        raise WseError(f"unknown mapping {mapping!r}; what works: {', '.join(MAPPINGS)}")
    if request.experts not in EXPERTS:
        raise WseError(f"experts {request.experts!r}: {' or '.join(EXPERTS)} works")
    if request.experts == "regions" and (request.config.experts is None or mapping != "pipeline"):
        raise WseError("experts in regions of their own: a model with experts and the mapping pipeline work")
    return MAPPINGS[mapping](request)
