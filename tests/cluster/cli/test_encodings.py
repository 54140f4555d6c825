"""`nbmf encode` reads text in the encodings that sources of records are read in."""

import codecs
import json

import pytest

import nbmf
from nbmf.wire import from_base64

VALUE = {"name": "Zoë", "text": "中文 ਊ \U0001f600"}
MARKED = pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
    ],
)


@pytest.fixture
def encode(nbmf_command):
    """A function: the payloads that such input becomes."""

    def run(content, form):
        result = nbmf_command("encode", "--as", form, "--codec", "none", stdin=content)
        assert result.code == 0, result.err
        if form != "jsonl":
            return nbmf.decode(result.out)
        return [nbmf.decode(from_base64(json.loads(line)["blob"], "blob")) for line in result.out.splitlines()]

    return run


@MARKED
def test_a_mark_tells_the_encoding(encode, encoding, mark):
    text = json.dumps(VALUE, ensure_ascii=False)
    assert encode(mark + text.encode(encoding), "json") == VALUE
    assert encode(mark + f"{text}\r\n\n{text}".encode(encoding), "jsonl") == [VALUE, VALUE]
    kept = "\ufeff" if encoding == "utf-8" else ""  # that of UTF-8 is text, so that decoding gives the same octets
    assert encode(mark + text.encode(encoding), "text") == kept + text


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32-be"])
def test_without_a_mark_it_is_refused_by_name(error_of, form, encoding):
    content = (json.dumps(VALUE) + "\n").encode(encoding) * 3
    message = error_of("encode", "--as", form, "--codec", "none", stdin=content)
    assert encoding.upper() in message
    assert f"iconv -f {encoding.upper()}" in message


def test_lines_in_another_encoding_are_one_refusal(error_of):
    content = "".join(f'{{"n": {n}, "text": "Grüße"}}\n' for n in range(40)).encode("latin-1")
    message = error_of("encode", "--as", "jsonl", "--codec", "none", stdin=content)
    assert "Windows-1252" in message
    assert "iconv" in message


def test_text_that_is_cut_off_within_a_character(error_of):
    content = codecs.BOM_UTF16_LE + '"a"'.encode("utf-16-le")[:-1]
    assert "UTF-16-LE" in error_of("encode", "--as", "json", "--codec", "none", stdin=content)
    assert "UTF-16-LE" in error_of("encode", "--as", "text", "--codec", "none", stdin=content)
