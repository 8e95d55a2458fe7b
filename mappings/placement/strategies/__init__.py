"""The shipped strategies, each a small file with its source. Importing this package registers them."""

from wse_emu.mappings.placement.strategies import anneal, curves, greedy, ilp, robust_tabu, spectral, strips

__all__ = ["anneal", "curves", "greedy", "ilp", "robust_tabu", "spectral", "strips"]
