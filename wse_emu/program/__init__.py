"""The dataflow program that kernels emit and engines interpret: layouts, values, steps, and the builder."""

from wse_emu.program.body import Body, Call, Expert, Program, Routing, Transfer
from wse_emu.program.builder import Builder
from wse_emu.program.layout import Layout, from_blocks, to_blocks
from wse_emu.program.memory import Memory, memory
from wse_emu.program.schedule import ALGORITHMS, Phase, Schedule, schedule
from wse_emu.program.steps import AllReduce, Broadcast, Host, Local, Overlap, Reduce, Shift, Step
from wse_emu.program.value import Value

__all__ = [
    "ALGORITHMS",
    "AllReduce",
    "Body",
    "Broadcast",
    "Builder",
    "Call",
    "Expert",
    "Host",
    "Layout",
    "Local",
    "Memory",
    "Overlap",
    "Phase",
    "Program",
    "Reduce",
    "Routing",
    "Schedule",
    "Shift",
    "Step",
    "Transfer",
    "Value",
    "from_blocks",
    "memory",
    "schedule",
    "to_blocks",
]
