"""An emulator of wafer-scale engines: a mesh of processing elements that decodes real transformers.

import wse_emu

session = wse_emu.map_model(wse_emu.load_model("tiny"), wafer="wse3")
result = session.decode("Once upon a time", tokens=16)
print(result.text, result.tokens_per_second)
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Precision", "Sampling", "Session", "WseError", "compare", "load_model", "load_wafer", "map_model"]

if TYPE_CHECKING:
    from wse_emu.comparison import compare
    from wse_emu.decode import Sampling, Session, map_model
    from wse_emu.errors import WseError
    from wse_emu.hardware.wafer import load_wafer
    from wse_emu.models import load_model
    from wse_emu.program.precision import Precision

_HOMES = {
    "Precision": "wse_emu.program.precision",
    "Sampling": "wse_emu.decode",
    "Session": "wse_emu.decode",
    "WseError": "wse_emu.errors",
    "compare": "wse_emu.comparison",
    "load_model": "wse_emu.models",
    "load_wafer": "wse_emu.hardware.wafer",
    "map_model": "wse_emu.decode",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `wse-emu --help` need not wait for all of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
