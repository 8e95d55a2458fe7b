"""Mappings by name."""

from wse_emu.errors import WseError
from wse_emu.mappings.pipeline import pipeline
from wse_emu.mappings.plan import Mapping, Plan, Request
from wse_emu.mappings.shared import shared

MAPPINGS: dict[str, Mapping] = {"shared": shared, "pipeline": pipeline}


def make_plan(mapping: str, request: Request) -> Plan:
    """Map the model; WseError for an unknown mapping, or a model that does not fit, with what would."""
    if mapping not in MAPPINGS:
        raise WseError(f"unknown mapping {mapping!r}; what works: {', '.join(MAPPINGS)}")
    return MAPPINGS[mapping](request)
