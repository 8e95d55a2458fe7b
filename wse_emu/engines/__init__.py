"""Interpreters of one program: `numeric` gives values, `timing` gives cycles and wavelets.

The third, `wavelet`, will step routers and queues cycle by cycle; its contract is in :mod:`wse_emu.engines.semantics`.
"""
