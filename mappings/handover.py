"""Keys and values on their way from the layout of a prefill to the cache of a decode: wavelets, and cycles.

An estimate from the load of the links: every PE sends what each other PE's cache needs, along x first. A layer takes as
long as its busiest link, or PE, is busy, one way through the mesh, and a set-up for every PE that a PE sends to. That
streams wait for each other elsewhere, and need more colors than there are, is left out.
"""

from dataclasses import dataclass

import numpy as np

from wse_emu.engines.lines import ring
from wse_emu.engines.semantics import due, stream_costs
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.prefill import Chunk
from wse_emu.program import Program, Value
from wse_emu.program.precision import ITEMSIZE
from wse_emu.program.value import WAVELET_BYTES

PAIR = 4
"""Elements that go together: both members of a rotary pair, of a key and of a value."""


@dataclass(frozen=True)
class Handover:
    """What all layers' keys and values take, one layer after another."""

    wavelets: int
    """That leave their PE."""
    wavelet_hops: int
    cycles: int


def hand_over(chunk: Chunk, source: Region, decode: Program, spec: WaferSpec) -> Handover:
    """From ``source``, the prefill's region, to the caches of the program ``decode``."""
    layers = [(call.region, call.body.states[0]) for call in decode.calls if call.body.states]
    found = {layer: _layer(chunk, source, *layer, spec) for layer in dict.fromkeys(layers)}
    total = [found[layer] for layer in layers]
    return Handover(*(sum(getattr(one, name) for one in total) for name in ("wavelets", "wavelet_hops", "cycles")))


def _layer(chunk: Chunk, source: Region, target: Region, cache: Value, spec: WaferSpec) -> Handover:
    per_pair = PAIR * ITEMSIZE[cache.dtype] // WAVELET_BYTES
    rows, tokens = _rows(chunk, source, target)
    columns, pairs = _columns(chunk, source, target, cache)
    across, along = _loads(columns, pairs), _loads(rows, tokens)
    leaving, entering = (np.bincount(columns[:, i], weights=pairs) for i in range(2))
    sent, taken = (np.bincount(rows[:, i], weights=tokens) for i in range(2))
    stays = (tokens * (rows[:, 0] == rows[:, 1])).sum() * (pairs * (columns[:, 0] == columns[:, 1])).sum()
    busiest = max(
        across.max(initial=0) * sent.max(),
        along.max(initial=0) * entering.max(),
        leaving.max() * sent.max(),
        entering.max() * taken.max(),
    )
    targets = np.bincount(columns[:, 0]).max() * np.bincount(rows[:, 0]).max()
    hops = int(np.abs(np.diff(columns)).max() + np.abs(np.diff(rows)).max())
    costs = stream_costs(spec, cache.dtype, combining=False)
    cycles = due(int(busiest * per_pair), costs.interval) + hops * costs.hop + 2 * costs.ramp + costs.receive
    moved = across.sum() * tokens.sum() + along.sum() * pairs.sum()
    return Handover(
        int((tokens.sum() * pairs.sum() - stays) * per_pair), int(moved * per_pair), cycles + int(targets) * costs.setup
    )


def _rows(chunk: Chunk, source: Region, target: Region) -> tuple[np.ndarray, np.ndarray]:
    """Ways along y, (ways, 2) from and to, and the tokens that take each."""
    token = np.arange(chunk.tokens)
    start = source.y + ring(chunk.edge)[token // chunk.m]
    return _counted(start, target.y + token % target.height)


def _columns(chunk: Chunk, source: Region, target: Region, cache: Value) -> tuple[np.ndarray, np.ndarray]:
    """The same along x, and the rotary pairs of all key-value heads that take each."""
    config, inner = chunk.config, cache.layout.inner
    head, pair = np.divmod(np.arange(config.kv_heads * (config.head_dim // 2)), config.head_dim // 2)
    heads_each = -(-config.kv_heads // (target.width // inner))
    place = head // heads_each * inner + pair // -(-(config.head_dim // 2) // inner)
    return _counted(source.x + pair // chunk.pairs, target.x + place)


def _counted(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ways, counts = np.unique(np.stack([start, stop], axis=1), axis=0, return_counts=True)
    return ways, counts


def _loads(ways: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What crosses each link of a line, (2, links): forward and backward."""
    changes = np.zeros((2, int(ways.max()) + 2), dtype=np.int64)
    for way, (first, last) in enumerate(((0, 1), (1, 0))):
        taken = ways[:, first] < ways[:, last]
        np.add.at(changes[way], ways[taken, first], counts[taken])
        np.add.at(changes[way], ways[taken, last], -counts[taken])
    return np.asarray(np.cumsum(changes, axis=1))
