import hashlib
import struct
from pathlib import Path

import pytest

from engine.backends import gguf_file
from engine.errors import ModelLoadError, ModelNotFoundError

HEADER = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelNotFoundError) as caught:
            gguf_file.check_header(path)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a GGUF"),
        (b"PK\3\4" + bytes(100), "not a GGUF"),
        (b"GGUF\3", "incomplete"),
        (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "version 1"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "version"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1 << 60, 1), "incomplete"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1, 1 << 63), "incomplete"),
    ],
)
def test_what_cannot_be_a_model(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=sentence):
        gguf_file.check_header(path)


def test_fingerprint_of_a_small_file_is_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(HEADER)
    assert gguf_file.fingerprint(path) == hashlib.sha256(HEADER).hexdigest()


def test_fingerprint_of_a_large_file_is_sampled(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(HEADER)
        file.truncate((1 << 30) + 5)  # sparse: takes no room
    before = gguf_file.fingerprint(path)
    assert before.startswith("sampled:")
    for offset in (0, 1000, (1 << 30) + 4):
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(b"x")
        after = gguf_file.fingerprint(path)
        assert after != before
        before = after


def test_fingerprint_covers_all_parts(tmp_path: Path) -> None:
    first, second = (tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2))
    first.write_bytes(HEADER)
    with pytest.raises(ModelNotFoundError):
        gguf_file.fingerprint(first)
    second.write_bytes(b"one")
    before = gguf_file.fingerprint(first)
    second.write_bytes(b"two")
    assert gguf_file.fingerprint(first) != before
