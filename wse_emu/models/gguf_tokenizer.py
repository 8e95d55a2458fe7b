"""Builds the tokenizer that a GGUF file describes: byte-level BPE with the pre-tokenizer that it names."""

from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from wse_emu.errors import WseError
from wse_emu.models.fields import Fields
from wse_emu.models.tokenizer import Special, Tokenizer

CONTROL, USER_DEFINED = 3, 4  # gguf.TokenType
END_OF_TURN = ("<|im_end|>", "<|eot_id|>")
"""Control tokens that end an answer though a file's eos_token_id may name another one (llama.cpp, llama-vocab.cpp)."""

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_WORDS = _WORDS % ""  # digits one by one
LLAMA3_WORDS = _WORDS % "{1,3}"  # in groups of up to three


def _byte_level() -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _single_digits() -> Any:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _byte_level()])


def _split(words: str) -> Any:
    plain_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(words), "isolated"), plain_bytes])


PRE_TOKENIZERS: Mapping[str, Callable[[], Any]] = {
    "default": _byte_level,
    "gpt-2": _byte_level,
    "smollm": _single_digits,
    "qwen2": lambda: _split(QWEN2_WORDS),
    "deepseek-r1-qwen": lambda: _split(QWEN2_WORDS),
    "llama-bpe": lambda: _split(LLAMA3_WORDS),
}
"""By tokenizer.ggml.pre; the regular expressions are those of the models' own tokenizer.json."""

COMPOSED = ("qwen2", "deepseek-r1-qwen")  # text is brought to NFC first
WHOLE_WORDS_FIRST = ("llama-bpe",)  # a word that is a token is taken whole, whatever the merges say
BEGINS_BY_DEFAULT = ("llama-bpe",)  # llama.cpp, where the file does not say


def gguf_tokenizer(metadata: Mapping[str, Any], source: str) -> Tokenizer | None:
    """None where the file has no tokenizer at all; raises `WseError` for one that is damaged or of an unknown kind."""
    fields = Fields(metadata, source)
    if not fields.has("tokenizer.ggml.model"):
        return None
    model, pre = fields.text("tokenizer.ggml.model"), fields.text("tokenizer.ggml.pre", "default")
    if model != "gpt2":
        raise WseError(f"{source}: tokenizer model {model!r} is not supported; supported: gpt2 (byte-level BPE)")
    if pre not in PRE_TOKENIZERS:
        raise WseError(f"{source}: pre-tokenizer {pre!r} is not supported; supported: {', '.join(PRE_TOKENIZERS)}")
    tokens = _texts(fields, "tokenizer.ggml.tokens")
    special = _special(fields, tokens)
    backend = _backend(tokens, _merges(fields), pre, source)
    _add_special_tokens(backend, fields, tokens)
    if fields.flag("tokenizer.ggml.add_bos_token", pre in BEGINS_BY_DEFAULT) and special.bos:
        begin = [(special.bos, tokens.index(special.bos))]
        backend.post_processor = processors.TemplateProcessing(single=f"{special.bos} $A", special_tokens=begin)
    return Tokenizer(backend, special, source)


def _backend(tokens: list[str], merges: list[tuple[str, str]], pre: str, source: str) -> Backend:
    vocabulary = {token: index for index, token in enumerate(tokens)}
    try:
        backend = Backend(models.BPE(vocabulary, merges, ignore_merges=pre in WHOLE_WORDS_FIRST))
    except Exception as error:  # the library raises bare Exception, for a merge whose parts are no tokens
        raise WseError(f"{source}: the tokenizer is damaged: {' '.join(str(error).split())[:200]}") from error
    if pre in COMPOSED:
        backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = PRE_TOKENIZERS[pre]()
    backend.decoder = decoders.ByteLevel()
    return backend


def _add_special_tokens(backend: Backend, fields: Fields, tokens: list[str]) -> None:
    """Control and user-defined tokens are found in a text before anything splits it, as chat templates need."""
    kinds = fields.values.get("tokenizer.ggml.token_type") or []
    if not isinstance(kinds, list) or (kinds and len(kinds) != len(tokens)):
        raise WseError(
            f"{fields.source}: tokenizer.ggml.token_type does not list a type for each of {len(tokens)} tokens"
        )
    named = [(token, kind) for token, kind in zip(tokens, kinds, strict=False) if token]
    control = [AddedToken(token, normalized=False, special=True) for token, kind in named if kind == CONTROL]
    user = [AddedToken(token, normalized=False, special=False) for token, kind in named if kind == USER_DEFINED]
    backend.add_special_tokens(control)
    backend.add_tokens(user)


def _special(fields: Fields, tokens: list[str]) -> Special:
    eos = _token(fields, tokens, "tokenizer.ggml.eos_token_id")
    ends = [eos, *(_token(fields, tokens, f"tokenizer.ggml.{kind}_token_id") for kind in ("eot", "eom"))]
    ids = {end for end in ends if end is not None} | {i for i, token in enumerate(tokens) if token in END_OF_TURN}
    bos = _token(fields, tokens, "tokenizer.ggml.bos_token_id")
    template = fields.text("tokenizer.chat_template") if fields.has("tokenizer.chat_template") else None
    return Special(
        frozenset(ids), "" if bos is None else tokens[bos], "" if eos is None else tokens[eos], template or None
    )


def _token(fields: Fields, tokens: list[str], key: str) -> int | None:
    if not fields.has(key):
        return None
    index = fields.integer(key)
    if not 0 <= index < len(tokens):
        raise WseError(f"{fields.source}: {key} {index} is outside the vocabulary of {len(tokens)}")
    return index


def _texts(fields: Fields, key: str) -> list[str]:
    values = fields.values.get(key)
    if not isinstance(values, list) or not values or not isinstance(values[0], str):
        raise WseError(f"{fields.source}: key {key!r} must be a list of texts")
    return values


def _merges(fields: Fields) -> list[tuple[str, str]]:
    merges = []
    for merge in _texts(fields, "tokenizer.ggml.merges"):
        left, space, right = merge.partition(" ")
        if not space:
            raise WseError(f"{fields.source}: tokenizer merge {merge[:40]!r} is not two tokens with a space between")
        merges.append((left, right))
    return merges
