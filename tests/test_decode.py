"""The whole path: mapped models write the tokens of independent decoders, whatever the mapping, shape and reduction."""

from collections.abc import Sequence
from pathlib import Path

import array_api_strict
import numpy as np
import pytest

from tests.oracle import random_models, smollm2, tiny
from tests.oracle.reference import Decoded, assert_agrees, greedy
from wse_emu.decode import Sampling, map_model
from wse_emu.engines.backend import Backend
from wse_emu.errors import WseError
from wse_emu.fabric import Defects, Mesh
from wse_emu.hardware.wafer import load_wafer
from wse_emu.models import Model, load_model

OTHERS = random_models.OTHERS + random_models.MIXTURES
REDUCTIONS = ("chain", "two_way", "tree", "two_phase", "ktree", "ktree:3", "auto")


@pytest.fixture(scope="module")
def tiny_model() -> Model:
    return load_model("tiny")


def check(model: Model, expected: Decoded, tokens: int | None = None, **mapping: object) -> None:
    """Decode and compare tokens exactly and logits within the oracle's tolerance."""
    count = len(expected.token_ids) if tokens is None else tokens
    session = map_model(model, positions=len(expected.prompt_ids) + count, **mapping)  # type: ignore[arg-type]
    result = session.decode(list(expected.prompt_ids), count)
    logits = np.stack([token.logits for token in result.tokens])
    cut = Decoded(expected.prompt_ids, expected.token_ids[:count], expected.logits[:count])
    assert_agrees(result.token_ids, logits, cut)


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
@pytest.mark.parametrize("prompt", sorted(tiny.PROMPTS))
def test_tiny_writes_the_tokens_of_transformers(tiny_model: Model, prompt: str, mapping: str) -> None:
    check(tiny_model, tiny.decoded(prompt), mapping=mapping)


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_tiny_writes_the_tokens_of_the_package_it_comes_from(tiny_model: Model, mapping: str) -> None:
    check(tiny_model, tiny.decoded_by_glassllm("story"), 24, mapping=mapping)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_every_reduction_writes_the_same_tokens(tiny_model: Model, reduce: str) -> None:
    check(tiny_model, tiny.decoded("story"), 24, reduce=reduce, shape=(13, 11))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 3), (31, 37), (129, 65)])
@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_shapes_that_divide_nothing_write_the_same_tokens(
    tiny_model: Model, shape: tuple[int, int], mapping: str, big_memory: str
) -> None:
    check(tiny_model, tiny.decoded("story"), 12, shape=shape, mapping=mapping, wafer=big_memory)


@pytest.fixture
def big_memory(tmp_path: Path) -> str:
    """A wafer whose PEs have memory for anything, so that any shape fits."""
    from wse_emu.hardware.wafer import PRESETS

    text = (PRESETS / "wse3.toml").read_text("utf-8").replace("sram_bytes = 49152", "sram_bytes = 1000000000")
    path = tmp_path / "big.toml"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("wafer", ["wse1", "wse2", "mini"])
def test_every_wafer_writes_the_same_tokens(tiny_model: Model, wafer: str) -> None:
    check(tiny_model, tiny.decoded("story"), 8, wafer=wafer)


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_jax_writes_the_same_tokens(tiny_model: Model, mapping: str) -> None:
    check(tiny_model, tiny.decoded("story"), 16, backend="jax", mapping=mapping)


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_any_library_with_the_array_api_writes_the_same_tokens(tiny_model: Model, mapping: str) -> None:
    """What cupy will run: the array API and nothing else."""
    check(tiny_model, tiny.decoded("story"), 6, backend=Backend("strict", array_api_strict), mapping=mapping)


@pytest.mark.parametrize("name", random_models.NAMES)
@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_random_models_write_the_tokens_of_transformers(name: str, mapping: str, tmp_path: Path) -> None:
    original = random_models.make(name)
    expected = greedy(original, [3, 1, 4, 1, 5, 9, 2, 6], 16)
    model = load_model(str(random_models.saved(original, tmp_path / name)))
    check(model, expected, mapping=mapping, shape=(7, 5))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_other_families_write_the_tokens_of_transformers(name: str, mapping: str, tmp_path: Path) -> None:
    """The prompt alone is longer than the windows of those that have one."""
    check_family(name, tmp_path, 4, mapping=mapping, shape=(7, 5))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
@pytest.mark.parametrize("shape", [None, (1, 1), (6, 11)])
def test_other_families_write_32_tokens_of_transformers(
    name: str, mapping: str, shape: tuple[int, int] | None, tmp_path: Path, big_memory: str
) -> None:
    check_family(name, tmp_path, 32, mapping=mapping, shape=shape, wafer=big_memory)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("backend", ["jax", Backend("strict", array_api_strict)], ids=["jax", "strict"])
def test_other_families_write_the_same_tokens_on_other_backends(
    name: str, backend: str | Backend, tmp_path: Path
) -> None:
    check_family(name, tmp_path, 8, backend=backend, shape=(6, 11))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma3_text", "gemma2", "phi3", *random_models.MIXTURES])
@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_the_wavelet_engine_times_other_families_as_the_timing_engine_does(
    name: str, mapping: str, tmp_path: Path
) -> None:
    model = load_model(str(random_models.saved(random_models.make(name), tmp_path / name)))
    session = map_model(model, positions=16, mapping=mapping, shape=(5, 4), engine="wavelet")
    result = session.decode([3, 1, 4, 1, 5, 9, 2, 6], 2)
    assert result.modelled_cycles_per_token == pytest.approx(result.cycles_per_token, rel=0.01)


def check_family(name: str, folder: Path, tokens: int, **mapping: object) -> None:
    original = random_models.make(name)
    expected = greedy(original, [3, 1, 4, 1, 5, 9, 2, 6], tokens)
    check(load_model(str(random_models.saved(original, folder / name))), expected, None, **mapping)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param("llama", marks=SLOW), pytest.param("qwen2", marks=SLOW), "qwen3"])
def test_random_models_write_the_same_tokens_on_jax(name: str, tmp_path: Path) -> None:
    original = random_models.make(next(known for known in random_models.NAMES if known.startswith(name)))
    expected = greedy(original, [3, 1, 4, 1, 5, 9, 2, 6], 8)
    model = load_model(str(random_models.saved(original, tmp_path / name)))
    check(model, expected, backend="jax", shape=(6, 11))


LINKS = [((x, y), (x + 1, y)) for x, y in zip(range(6, 700, 23), range(2, 1000, 31), strict=False)]


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
@pytest.mark.parametrize("clustered", [False, True])
def test_defects_change_no_token_and_nothing_crosses_them(tiny_model: Model, mapping: str, clustered: bool) -> None:
    spec = load_wafer("wse3")
    dead = Defects.random(spec.columns, spec.rows, 0.002, 3, clustered=clustered).pes
    defects = Defects.of(list(dead), LINKS)
    mesh = Mesh.from_spec(spec, defects=defects)
    session, expected = map_model(tiny_model, mapping=mapping, defects=defects, shape=(32, 40)), tiny.decoded("story")
    result = session.decode(list(expected.prompt_ids), 12)
    assert tuple(result.token_ids) == tuple(expected.token_ids[:12])
    assert result.links.any()
    assert not result.links[mesh.closed].any()
    assert not mesh.dead[result.clocks >= 0].any()
    for name, region in session.plan.regions.items():
        mesh.check_region(region, name)


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_without_room_between_defects_the_widest_place_is_named(tiny_model: Model, mapping: str) -> None:
    defects = Defects.of([(x, y) for x in range(0, 755, 9) for y in range(0, 1170, 9)])
    with pytest.raises(
        WseError, match=r"10,920 dead PEs and 0 dead links has no 9 rows × 12 columns .*, at most 8 columns"
    ):
        map_model(tiny_model, mapping=mapping, shape=(9, 12), defects=defects)


@pytest.mark.slow
@pytest.mark.parametrize("prompt", sorted(smollm2.PROMPTS))
@pytest.mark.parametrize(("mapping", "backend"), [("shared", "numpy"), ("pipeline", "numpy"), ("shared", "jax")])
def test_smollm2_writes_the_tokens_of_transformers(prompt: str, mapping: str, backend: str) -> None:
    smollm2.path()
    check(load_model("smollm2"), smollm2.decoded(prompt), mapping=mapping, backend=backend)


def test_smollm2_writes_the_tokens_of_transformers_for_one_prompt() -> None:
    smollm2.path()
    check(load_model("smollm2"), smollm2.decoded("code"), 12)


def test_a_longer_cache_than_one_slot_per_row_agrees(tiny_model: Model) -> None:
    check(tiny_model, tiny.decoded("story"), shape=(9, 16))


def test_the_wafers_own_choice_is_the_largest_logit(tiny_model: Model) -> None:
    result = map_model(tiny_model).decode("Once upon a time", 12)
    assert result.token_ids == [int(np.argmax(token.logits)) for token in result.tokens]


def test_sampling_is_reproducible_and_follows_the_seed(tiny_model: Model) -> None:
    session = map_model(tiny_model, on_host=True)
    texts = [session.decode("Once", 12, Sampling(1.0, seed=seed)).token_ids for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len({tuple(text) for text in texts}) > 1


def test_sampling_waits_for_the_host(tiny_model: Model) -> None:
    greedily = map_model(tiny_model).decode("Once", 2)
    sampled = map_model(tiny_model, on_host=True).decode("Once", 2, Sampling(1.0))
    spec = map_model(tiny_model).spec
    round_trip = 2 * spec.edge_latency_seconds * spec.clock_hz
    assert sampled.cycles_per_token[1] > greedily.cycles_per_token[1] + round_trip


def test_top_k_of_one_is_greedy(tiny_model: Model) -> None:
    sampled = map_model(tiny_model, on_host=True).decode("Once", 8, Sampling(1.0, top_k=1))
    assert sampled.token_ids == map_model(tiny_model).decode("Once", 8).token_ids


def test_a_session_can_be_used_again(tiny_model: Model) -> None:
    session = map_model(tiny_model)
    first = session.decode("Once upon a time", 6)
    session.decode("Another", 3)
    assert session.decode("Once upon a time", 6).token_ids == first.token_ids


def test_results_add_up(tiny_model: Model) -> None:
    session = map_model(tiny_model, mapping="pipeline")
    result = session.decode("Once upon a time", 6)
    assert sum(result.cycles_by_kernel.values()) == pytest.approx(np.mean(result.cycles_per_token))
    assert result.links.shape == (4, session.spec.rows, session.spec.columns)
    used = np.zeros(result.clocks.shape, dtype=bool)
    for region in session.plan.regions.values():
        used[region.y : region.bottom, region.x : region.right] = True
    assert ((result.clocks >= 0) == used).all()
    assert result.clocks.max() > 0


@pytest.mark.parametrize(
    ("prompt", "tokens", "message"),
    [
        ([], 4, "prompt is empty"),
        ([5, 1024], 4, "prompt id 1024 .* 0 to 1023 work"),
        ([-1], 4, "prompt id -1"),
        ([1, 2], 0, "at least 1"),
        ([1] * 100, 40, "more than the context of 128"),
    ],
)
def test_bad_prompts_are_refused(tiny_model: Model, prompt: Sequence[int], tokens: int, message: str) -> None:
    session = map_model(tiny_model, positions=128)
    with pytest.raises(WseError, match=message):
        session.decode(prompt, tokens)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"wafer": "wse9"}, "unknown wafer 'wse9'; what works: wse1"),
        ({"mapping": "diagonal"}, "unknown mapping 'diagonal'; what works: shared, pipeline"),
        ({"mapping": "pipeline", "placement": "spiral"}, "unknown strategy 'spiral'; what works: annealing, greedy"),
        ({"reduce": "comet"}, "unknown reduction algorithm 'comet'; what works: chain"),
        ({"reduce": "ktree:0"}, "unknown reduction algorithm 'ktree:0'"),
        ({"backend": "torch"}, "unknown backend 'torch'; what works: numpy, jax, cupy"),
        ({"positions": 129}, "context of tiny, 128"),
        ({"shape": (2000, 4)}, r"leaves the mesh of 755×1170 PEs"),
        ({"shape": (0, 4)}, "empty"),
        ({"wafer": "mini", "shape": (1, 2)}, "more than the 49,152 of mini"),
    ],
)
def test_what_cannot_be_mapped_is_refused(tiny_model: Model, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(WseError, match=message) as caught:
        map_model(tiny_model, **wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
