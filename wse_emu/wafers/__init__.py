"""What wafers would do with a model: from its shape alone, without a weight. Cycles by the timing engine.

Layers are split over as few wafers as hold the weights and all users' caches. Two ways to lay them are looked at: on
one region of each wafer, all of whose PEs work on every layer (`shared`: the fewest cycles for one user), or on a
region each (`pipeline`: as many users at work as there are layers). Embedding and head lie on one wafer; a token goes
around all of them, out by one's edge and in by the next one's. Where the wafers are too few for the weights, these are
streamed in (`streamed`).
"""

from wse_emu.wafers.estimate import estimate
from wse_emu.wafers.layout import WaferEstimate
from wse_emu.wafers.speculation import Draft
from wse_emu.wafers.workload import Workload

__all__ = ["Draft", "WaferEstimate", "Workload", "estimate"]
