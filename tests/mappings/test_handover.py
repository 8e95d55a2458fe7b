"""The hand-over of keys and values, beside a walk of every pair of numbers over the mesh."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.lines import ring
from wse_emu.engines.semantics import due
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.prefill import Chunk
from wse_emu.mappings.handover import hand_over
from wse_emu.mappings.plan import Request
from wse_emu.mappings.shared import shared_program
from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope
from wse_emu.program import Program

SPEC = load_wafer("wse3")
CONFIG = ModelConfig("llama", 20, 16, 2, 4, 2, 8, 24, 64, 1e-5, Rope(1e4, "half"))
Place = tuple[int, int]


def decode(region: Region, inner: int, dtype: str, config: ModelConfig = CONFIG) -> Program:
    return shared_program(Request(config, SPEC, 24, "chain", Estimator(SPEC), dtype=dtype), region, inner)


def ways(chunk: Chunk, source: Region, target: Region, inner: int) -> Counter[tuple[Place, Place]]:
    """Pairs of numbers, of keys and of values, by the PE (x, y) that has them and the one that shall."""
    config, found = chunk.config, Counter[tuple[Place, Place]]()
    half = config.head_dim // 2
    for token in range(chunk.tokens):
        for head in range(config.kv_heads):
            for pair in range(half):
                start = source.x + pair // chunk.pairs, source.y + int(ring(chunk.edge)[token // chunk.m])
                group = head // -(-config.kv_heads // (target.width // inner))
                stop = target.x + group * inner + pair // -(-half // inner), target.y + token % target.height
                found[start, stop] += 2
    return found


def links(way: tuple[Place, Place]) -> list[tuple[Place, Place]]:
    """Along x first."""
    (x, y), (to_x, to_y) = way
    stops = [(at, y) for at in (range(x, to_x + 1) if to_x >= x else range(x, to_x - 1, -1))]
    stops += [(to_x, at) for at in (range(y, to_y + 1) if to_y >= y else range(y, to_y - 1, -1))][1:]
    return list(pairwise(stops))


@settings(max_examples=40, deadline=None)
@given(
    edge=st.integers(1, 5),
    tokens=st.integers(1, 12),
    shape=st.sampled_from([(1, 2, 1), (3, 4, 2), (5, 8, 4), (4, 3, 1)]),
    dtype=st.sampled_from(["float32", "float16"]),
    corner=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_every_pair_walks_to_its_cache(
    edge: int, tokens: int, shape: tuple[int, int, int], dtype: str, corner: Place
) -> None:
    rows, cols, inner = shape
    chunk, source, target = Chunk(CONFIG, edge, tokens), Region(1, 2, edge, edge), Region(*corner, cols, rows)
    found = hand_over(chunk, source, decode(target, inner, dtype), SPEC)
    each, layers = 2 if dtype == "float32" else 1, CONFIG.layers
    walked = ways(chunk, source, target, inner)
    loads, sent, taken = Counter[tuple[Place, Place]](), Counter[Place](), Counter[Place]()
    targets: dict[Place, set[Place]] = {}
    for way, pairs in walked.items():
        for link in links(way):
            loads[link] += each * pairs
        sent[way[0]] += each * pairs
        taken[way[1]] += each * pairs
        targets.setdefault(way[0], set()).add(way[1])
    assert found.wavelets == layers * each * sum(n for (start, stop), n in walked.items() if start != stop)
    assert found.wavelet_hops == layers * sum(loads.values())
    busiest = max([*loads.values(), *sent.values(), *taken.values()])
    longest, streams = max(len(links(way)) for way in walked), max(map(len, targets.values()))
    by_hand = due(busiest, SPEC.link_interval) + longest * SPEC.hop_cycles + 2 * SPEC.ramp_cycles + SPEC.receive_cycles
    assert found.cycles == layers * (by_hand + streams * SPEC.stream_setup)


def test_layers_count_one_by_one() -> None:
    chunk, source, target = Chunk(CONFIG, 3, 7), Region(0, 0, 3, 3), Region(4, 0, 4, 3)
    one, five = (
        hand_over(replace(chunk, config=config), source, decode(target, 2, "float32", config), SPEC)
        for config in (replace(CONFIG, layers=1), replace(CONFIG, layers=5))
    )
    assert (five.cycles, five.wavelets) == (5 * one.cycles, 5 * one.wavelets)
