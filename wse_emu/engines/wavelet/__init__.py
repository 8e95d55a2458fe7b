"""The `wavelet` engine. Its pieces build on each other in this order: planes, fabric, streams, control, engine."""

from wse_emu.engines.wavelet.engine import Machine, Outcome

__all__ = ["Machine", "Outcome"]
