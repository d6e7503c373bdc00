"""The user's own text: what is no text is told by file and line."""

from pathlib import Path

import pytest

from coemerge.corpus.own_texts import check_texts, read_texts


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.txt", b"\xff\xfea", r"t\.txt:1 or after: not UTF-8"),
        ("t.jsonl", b'{"text": "\xff"}\n', r"t\.jsonl:1 or after: not UTF-8"),
        ("t.txt", b"a\0b\n", r"t\.txt:1: holds a zero byte"),
        ("t.jsonl", b'{"text": "a\\u0000"}\n', r"t\.jsonl:1: holds a zero byte"),
        ("t.jsonl", b'{"text": "\\ud800"}\n', r"t\.jsonl:1: expected .*surrogates"),
        ("t.jsonl", b"[" * 100_000, r"t\.jsonl:1: expected .*RecursionError"),
        ("t.jsonl", b'{"text": ' + b"9" * 5000 + b"}", r"t\.jsonl:1: expected .*digits"),
        ("t.zip", b"PK\3\4", "neither .txt nor .jsonl; unpack it"),
        ("t.txt.gz", b"\x1f\x8b", "unpack it"),
        ("t.pdf", b"%PDF-1.4", "save it as plain text"),
        ("t.txt", b"", "holds no text"),
        ("t.jsonl", b'{"text": " "}\n', "holds no text"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, content: bytes, told: str):
    with pytest.raises(ValueError, match=told) as raised:
        check_texts(written(tmp_path, name, content))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_byte_order_mark_is_no_text(tmp_path: Path):
    path = written(tmp_path, "t.txt", b"\xef\xbb\xbfOne.\r\nTwo.\r\n")

    assert list(read_texts(path)) == ["One.", "Two."]


def test_a_late_line_that_is_not_text_is_told_when_it_comes(tmp_path: Path):
    path = written(tmp_path, "t.txt", b"fine\n" * 3000 + b"\xff\n")
    texts = read_texts(path)

    assert next(texts) == "fine"
    with pytest.raises(ValueError, match="or after: not UTF-8"):
        list(texts)
