"""`nbmf encode`, `nbmf decode`, `nbmf inspect`: files and pipes, single records or JSON Lines."""

from __future__ import annotations

import base64
import contextlib
import enum
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeAlias

import typer

from cluster.cli.held_blobs import PREVIEW, decoder, held_in, held_in_line
from cluster.cli.options import (
    EXIT_SOME_FAILED,
    LOCAL,
    CodecOption,
    EffortChoice,
    EffortOption,
    FidelityChoice,
    FidelityOption,
    LatencyBudgetOption,
    RegistryOption,
    effort_setting,
)
from cluster.progress import console
from cluster.registry import DEFAULT, Registry
from cluster.text_encoding import HEAD_BYTES, Utf8Check, remedy, unmarked
from cluster.text_files import Damaged, NotUtf8, open_text
from nbmf import compat
from nbmf import inspect as inspect_blob
from nbmf.arrays import to_npy
from nbmf.errors import NbmfError
from nbmf.json_text import values_within
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from nbmf.payload import Kind, Payload, check_canonical, from_canonical
from nbmf.text_encoding import decode_text, encoding_of
from nbmf.vectors.changed import Coded
from nbmf.wire import BadWire, canonical_to_json, dump, load_named


class InputFormat(enum.StrEnum):
    """How the input of `encode` is read."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"
    BYTES = "bytes"
    JSONL = "jsonl"


_SUFFIXES = {
    ".json": InputFormat.JSON,
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".txt": InputFormat.TEXT,
    ".md": InputFormat.TEXT,
}

InputArgument: TypeAlias = Annotated[
    Path | None,
    typer.Argument(**LOCAL, help="The file to read; standard input without it or with `-`.", show_default=False),
]
OutputOption: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", **LOCAL, help="The file to write; standard output without it.")
]


def encode(
    file: InputArgument = None,
    output: OutputOption = None,
    input_format: Annotated[
        InputFormat,
        typer.Option(
            "--as",
            help="What the input is. `auto`: by the file's suffix, else text if it is UTF-8, else bytes. "
            "`jsonl`: a record a line, written as lines `{“blob”: base64}`, "
            "with `similarity` where `--fidelity semantic` changed something.",
        ),
    ] = InputFormat.AUTO,
    codec: CodecOption = DEFAULT,
    effort: EffortOption = EffortChoice.AUTO,
    latency_budget_ms: LatencyBudgetOption = None,
    fidelity: FidelityOption = FidelityChoice.LOSSLESS,
    registry: RegistryOption = None,
) -> None:
    """Encode a record, or a record on each line, to nbmf blobs.

    Examples: `nbmf encode note.json -o note.nbmf`; `cat memory.jsonl | nbmf encode --as jsonl > blobs.jsonl`.
    """
    setting = effort_setting(effort, latency_budget_ms)
    version = Registry(registry).load(codec)

    def coded(payload: Payload) -> Coded:
        (result,) = version.encode_measured([payload], fidelity.value, **setting.keywords)
        if isinstance(result, NbmfError):
            raise result
        return result

    chosen = input_format if input_format is not InputFormat.AUTO else _SUFFIXES.get(file.suffix if file else "")
    if chosen is InputFormat.JSONL:

        def encode_line(line: bytes) -> bytes:
            blob, changed = coded(load_named(line, "the line"))
            fields: dict[str, Any] = {"blob": compat.of_json(blob) or base64.b64encode(blob).decode()}
            if changed:
                fields |= {"fidelity": fidelity.value, "similarity": changed.similarity()}
            return dump(fields)

        _each_line(file, output, encode_line)
    else:
        blob, changed = coded(_payload(_read(file), chosen))
        if changed:
            told = changed.similarity()
            console.print(
                f"nbmf: vectors changed: {told['vectors']}, cosine {told['cosine_mean']:g} in the mean, "
                f"{told['cosine_min']:g} at least; {len(blob)} bytes, lossless {changed.lossless_bytes}"
            )
        _write(output, blob, binary=True)


def decode(
    file: InputArgument = None,
    output: OutputOption = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help="Read lines `{“blob”: base64}`, or dict blobs, write lines `{“payload”: …}`. On for .jsonl files.",
        ),
    ] = False,
    registry: RegistryOption = None,
    max_output_bytes: Annotated[
        int, typer.Option(min=1, help="Refuse blobs that declare a larger payload.")
    ] = DEFAULT_MAX_PAYLOAD_BYTES,
) -> None:
    """Decode a blob, or a blob on each line. Text and bytes come out as they were, JSON on one line, arrays as .npy.

    The JSON of a dict blob, as nbmf.compat writes it and the stub did, is decoded too, as a file, a line, or a line's
    `blob`; of a line `dict_blob` then tells which it was. What the stub kept as a preview is that preview.

    Examples: `nbmf decode note.nbmf`; `nbmf decode blobs.jsonl > memory.jsonl`.
    """
    decoded = decoder(Registry(registry).catalog(), max_output_bytes)

    if jsonl or (file is not None and _SUFFIXES.get(file.suffix) is InputFormat.JSONL):

        def decode_line(line: bytes) -> bytes:
            kind, canonical, form = decoded(held_in_line(line))
            check_canonical(kind, canonical, values_within(max_output_bytes))  # what is no JSON might be lines of JSON
            told = b"" if form is None else dump({"dict_blob": form})[:-1] + b","
            return told + canonical_to_json(kind, canonical)[1 if told else 0 :]

        _each_line(file, output, decode_line)
        return
    kind, canonical, form = decoded(held_in(_read(file)))
    if form == PREVIEW:
        console.print("nbmf: a preview that the stub kept; there is no more of its record")
    if kind is Kind.BYTES:
        _write(output, canonical, binary=True)
    elif kind is Kind.ARRAY:
        _write(output, to_npy(canonical), binary=True)
    elif kind is Kind.TEXT:
        _write(output, canonical, binary=False)
    else:
        _write(output, dump(from_canonical(kind, canonical)) + b"\n", binary=False)


def inspect(
    file: InputArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell what a blob is: kind, coder, codec version, sizes, parts, or why no learned coder wrote it.

    Nothing is decoded.
    """
    info = asdict(inspect_blob(_read(file)))
    if as_json:
        typer.echo(json.dumps(info))
        return
    detail = info.pop("detail") or {}
    for name in ("inner", "vectors"):
        if info[name] is None:
            del info[name]
    for name, value in info.items():
        typer.echo(f"{name:14} {_NOT_TOLD[name] if value is None else value}")
    for name, value in {**detail, **detail.pop("by", {})}.items():
        typer.echo(f"{name:14} {_phrase(value) if isinstance(value, dict) else value}")


_NOT_TOLD = {"codec": "none needed", "payload_bytes": "known when it is decoded"}


def _phrase(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


def _payload(data: bytes, chosen: InputFormat | None) -> Payload:
    if chosen is InputFormat.JSON or (chosen is InputFormat.TEXT and encoding_of(data)[0] != "utf-8"):
        text = _decoded(data)
        return load_named(text.encode(), "the input") if chosen is InputFormat.JSON else text
    if chosen is InputFormat.BYTES:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if chosen is InputFormat.TEXT:
            raise BadWire(f"the input is not UTF-8 text ({error}); `--as bytes` takes anything") from error
        return data


def _decoded(data: bytes) -> str:
    """Text in the encoding that a byte order mark tells, as in sources of records."""
    encoding, mark_bytes = encoding_of(data)
    if not mark_bytes and (found := unmarked(data[:HEAD_BYTES])):
        raise BadWire(f"the input seems to be {found.upper()}, without a byte order mark that says so; {remedy(found)}")
    try:
        return decode_text(data)
    except UnicodeDecodeError as error:
        raise BadWire(f"the input is not {encoding.upper()} text: {error}") from error


def _each_line(file: Path | None, output: Path | None, convert: Callable[[bytes], bytes]) -> None:
    """Converts line by line; one that fails becomes `{"error", "message", "line"}`, and the exit code 3."""
    failed = 0
    if output is not None and file is not None and output.exists() and file.exists() and output.samefile(file):
        raise BadWire(f"{output} is the input; name another output")
    with _lines(file) as lines, _open_output(output) as sink:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                result = convert(line)
            except NbmfError as error:
                failed += 1
                result = dump({"error": error.code, "message": str(error), "line": number})
            sink.write(result + b"\n")
    if failed:
        console.print(f"nbmf: {failed} lines failed; each is an object with `error` and `line` in the output")
        raise typer.Exit(EXIT_SOME_FAILED)


@contextlib.contextmanager
def _lines(file: Path | None) -> Iterator[Iterable[bytes]]:
    """Of text as sources of records read it."""
    with contextlib.nullcontext(sys.stdin.buffer) if _is_stdin(file) else Path(str(file)).open("rb") as opened:
        try:
            text = open_text(opened)
            if text.seekable():
                _check_beginning(text)
            yield _read_on(text)
        except NotUtf8 as error:
            raise BadWire(f"the input: {error}") from error


def _check_beginning(text: BinaryIO) -> None:
    """Raises NotUtf8 if most lines of the beginning that have other than ASCII are not UTF-8."""
    check, start = Utf8Check(), text.tell()
    for line in text.read(HEAD_BYTES).splitlines(keepends=True)[:-1]:
        check.add(line)
    text.seek(start)
    if problem := check.problem():
        raise NotUtf8(problem)


def _read_on(text: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from text
    except Damaged as error:
        raise BadWire(f"the input cannot be read on: {error}") from error


def _is_stdin(file: Path | None) -> bool:
    return file is None or str(file) == "-"


def _read(file: Path | None) -> bytes:
    return sys.stdin.buffer.read() if _is_stdin(file) else Path(str(file)).read_bytes()


def _open_output(output: Path | None) -> io.BufferedWriter:
    if output is None:
        return open(sys.stdout.fileno(), "wb", closefd=False)
    return output.open("wb")


def _write(output: Path | None, data: bytes, *, binary: bool) -> None:
    if output is None and binary and sys.stdout.isatty():
        raise BadWire("binary output is not written to a terminal; name a file with -o, or use a pipe")
    with _open_output(output) as sink:
        sink.write(data)
