import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from wse_emu.errors import WseError
from wse_emu.models import ModelConfig
from wse_emu.models.gguf_header import GgufHeader, read_header
from wse_emu.models.mapped_file import MappedFile


def _parse(path: Path, data: bytes | None = None) -> GgufHeader:
    if data is not None:
        path.write_bytes(data)
    return read_header(MappedFile(path))


def test_header_is_what_the_gguf_package_reads(write_gguf: Callable[..., Path], config: ModelConfig) -> None:
    path = write_gguf(config)
    header, reader = _parse(path), gguf.GGUFReader(str(path))
    fields = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata == fields
    assert [entry.name for entry in header.tensors.values()] == [tensor.name for tensor in reader.tensors]
    for tensor in reader.tensors:
        entry = header.tensors[tensor.name]
        assert entry.shape == tuple(reversed(tensor.shape.tolist()))
        assert header.data_start + entry.offset == tensor.data_offset
        assert entry.type_number == tensor.tensor_type


def _header(*, version: int = 3, tensors: int = 0, keys: int = 0, body: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + body


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


KEY = _text(b"a") + struct.pack("<I", 4) + struct.pack("<I", 7)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (b"GG", "truncated"),
        (b"PK\x03\x04 a zip", "not a GGUF file: it begins with b'PK"),
        (_header(version=1), "version 1 is not supported"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648 is not supported"),
        (_header(keys=1), "truncated"),
        (_header(keys=2**60, body=KEY), "truncated"),
        (_header(keys=2, body=KEY * 2), "metadata key 'a' appears twice"),
        (_header(keys=1, body=_text(b"\xff")), "not UTF-8"),
        (_header(keys=1, body=_text(b"a") + struct.pack("<I", 77)), "unknown metadata type 77"),
        (_header(keys=1, body=_text(b"a") + struct.pack("<IIQ", 9, 8, 2**62)), "truncated"),
        (_header(keys=1, body=_text(b"a") + struct.pack("<IIQ", 9, 4, 2**62)), "truncated"),
        (_header(keys=1, body=_text(b"a") + struct.pack("<IIQ", 9, 9, 0)), "arrays of metadata type 9"),
        (_header(tensors=1, body=_text(b"t") + struct.pack("<I", 5)), "claims 5 dimensions"),
        (
            _header(keys=1, body=_text(b"general.alignment") + struct.pack("<II", 4, 12)),
            "alignment must be a power of two, got 12",
        ),
    ],
)
def test_damaged_headers_are_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(WseError, match=message) as caught:
        _parse(tmp_path / "x.gguf", data)
    assert "\n" not in str(caught.value)


def test_every_metadata_type_is_read(tmp_path: Path) -> None:
    values: list[tuple[int, str, Any]] = [
        (0, "B", 200),
        (1, "b", -3),
        (2, "H", 60000),
        (3, "h", -300),
        (4, "I", 2**31),
        (5, "i", -(2**30)),
        (6, "f", 0.5),
        (7, "?", True),
        (10, "Q", 2**63),
        (11, "q", -(2**62)),
        (12, "d", 0.1),
    ]
    body = b"".join(
        _text(code.encode()) + struct.pack("<I", kind) + struct.pack(f"<{code}", v) for kind, code, v in values
    )
    lists = b"".join(
        _text(code.encode() * 2) + struct.pack("<IIQ", 9, kind, 2) + struct.pack(f"<2{code}", v, v)
        for kind, code, v in values
    )
    metadata = _parse(tmp_path / "x.gguf", _header(keys=2 * len(values), body=body + lists)).metadata
    assert metadata == {code: v for _, code, v in values} | {code * 2: [v, v] for _, code, v in values}


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(WseError, match=r"cannot read .*absent"):
        MappedFile(tmp_path / "absent")
    with pytest.raises(WseError, match="Is a directory"):
        MappedFile(tmp_path)
