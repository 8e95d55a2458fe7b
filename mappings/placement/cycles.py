"""Cycles of a token by formula: the longest way through blocks and flows.

A block starts when the last flow to it has arrived and takes its shape's cycles. A flow arrives ``flow_cycles`` + hops
· ``hop_cycles`` + wavelets of a lane · ``wavelet_cycles`` after its source is done; with contention the wavelets are
those on the busiest link of its way, as if streams that share a link followed each other. A flow back to an earlier
block, by number, of a round of flows ends the token.
"""

from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from wse_emu.mappings.placement.batch import Batch, Flows


class Order:
    """The order in which blocks work, and the flows that they wait for."""

    def __init__(self, blocks: int, flows: Flows) -> None:
        self._blocks = blocks
        self._ends = list(zip(flows.source.tolist(), flows.target.tolist(), strict=True))

    @cached_property
    def _ahead(self) -> np.ndarray:
        """Which pairs do not lead back."""
        graph = nx.DiGraph(self._ends)
        rounds = {block: i for i, held in enumerate(nx.strongly_connected_components(graph)) for block in held}
        return np.array([rounds[a] != rounds[b] or a < b for a, b in self._ends], dtype=bool)

    @cached_property
    def steps(self) -> list[tuple[int, list[tuple[int, int]]]]:
        """Blocks in order, each with the (pair, source) of the flows that it waits for."""
        graph = nx.DiGraph()
        graph.add_nodes_from(range(self._blocks))
        waits: dict[int, list[tuple[int, int]]] = {block: [] for block in graph}
        for pair, (source, target) in enumerate(self._ends):
            if self._ahead[pair]:
                graph.add_edge(source, target)
                waits[target].append((pair, source))
        return [(block, waits[block]) for block in nx.topological_sort(graph)]

    @cached_property
    def last(self) -> list[tuple[int, int]]:
        """(pair, source) of the flows that end a token."""
        return [(pair, source) for pair, (source, _) in enumerate(self._ends) if not self._ahead[pair]]


def token_cycles(batch: Batch, cycles: Any, order: Order, wavelets: Any) -> Any:
    """Cycles of a token, ``[placements]``, of blocks that take ``cycles`` ``[placements, blocks]``.

    ``wavelets`` ``[placements, pairs]`` are what each flow waits for on its way.
    """
    xp, charges = batch.xp, batch.problem.charges
    late = charges.flow_cycles + charges.hop_cycles * batch.distance + charges.wavelet_cycles * wavelets
    done: dict[int, Any] = {}
    for block, waits in order.steps:
        arrivals = [done[source] + late[:, pair] for pair, source in waits]
        done[block] = cycles[:, block] + (xp.max(xp.stack(arrivals), axis=0) if arrivals else 0)
    ends = [done[source] + late[:, pair] for pair, source in order.last]
    return xp.max(xp.stack([*done.values(), *ends]), axis=0)
