"""The `wavelet` engine; its pieces in the order in which they build on each other: planes, fabric, streams, control, engine."""

from wse_emu.engines.wavelet.engine import Machine, Outcome

__all__ = ["Machine", "Outcome"]
