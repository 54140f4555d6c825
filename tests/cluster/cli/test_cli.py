"""The command line: files and pipes, JSON Lines, the registry's versions; what goes wrong is one message."""

import base64
import codecs
import io
import json
import math
import random
import shutil
import subprocess
from importlib.metadata import entry_points

import numpy as np
import pytest
import registries
import synthetic
import typer

from cluster.registry import Registry
from nbmf import Codec, builtin, compat, frame, inspect, json_text
from nbmf.payload import Kind, to_canonical

COMMANDS = [
    "encode",
    "decode",
    "inspect",
    "versions",
    "versions list",
    "versions show",
    "versions scan",
    "versions promote",
    "versions delete",
    "api-key",
    "api-key new",
    "train",
    "serve",
    "migrate",
    "demo",
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry with two versions, the first stable."""
    import zstandard

    place = Registry(tmp_path_factory.mktemp("cli") / "registry")
    samples = [to_canonical(r)[1] for r in synthetic.records(300, seed=41)]
    for name in ("one", "two"):
        fields = {"name": name, "created_at": "2026-01-01T00:00:00+00:00", "architecture": "zstd-dictionary"}
        fields["dictionaries"] = {"text": "d", "json": "d", "messages": "d"}
        registries.publish(place, fields, {"d": zstandard.train_dictionary(4096, samples).as_bytes()})
    return place


@pytest.fixture
def stable(registry):
    return registry.load()


def run(nbmf_command, registry, *args, stdin=b"", code=0):
    """A command with that registry; its standard output."""
    result = nbmf_command(*args, *(["--registry", registry.location] if registry else []), stdin=stdin)
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    return result.out


# --- the command itself -------------------------------------------------------------------------------------------


def test_commands_of_the_apps_are_entry_points():
    found = {e.name: e.value for e in entry_points(group="nbmf.commands")}
    assert {n: found[n] for n in ("train", "serve", "migrate", "demo")} == {
        "train": "train_app.cli:train",
        "serve": "serve_app.cli:serve",
        "migrate": "migrate_job.cli.migrate:migrate",
        "demo": "bench.demo.cli:demo",
    }
    (script,) = [e for e in entry_points(group="console_scripts") if e.name == "nbmf"]
    assert script.value == "cluster.cli.entry:main"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(nbmf_command, command):
    result = nbmf_command(*command.split(), "--help")
    out = result.out.decode()
    assert (result.code, result.err) == (0, "")
    assert "Usage: nbmf" in out
    if command == "":
        assert all(name in out for name in COMMANDS if " " not in name)
        assert "Exit codes" in out
    elif command not in ("versions", "api-key"):
        from cluster.cli.main import app

        group = typer.main.get_command(app)
        for name in command.split():
            group = group.commands[name]
        assert group.help
        for option in group.params:
            assert getattr(option, "help", "") or option.name == "help", option.name


def test_the_installed_command(console_script, clean_environment):
    result = subprocess.run([console_script, "--version"], env=clean_environment, capture_output=True, check=True)
    assert result.stdout.startswith(b"nbmf 0.")
    failed = subprocess.run([console_script, "inspect"], env=clean_environment, capture_output=True, input=b"x")
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert failed.stderr.startswith(b"nbmf: not_a_blob:")
    usage = subprocess.run([console_script, "versions", "nothing"], env=clean_environment, capture_output=True)
    assert usage.returncode == 2


def test_a_closed_pipe_is_no_traceback(console_script, clean_environment, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "many.jsonl", ["x" * 100] * 20_000)
    with subprocess.Popen(
        [console_script, "encode", path, "--codec", "none"],
        env=clean_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 1
        assert b"Traceback" not in process.stderr.read()


# --- single records -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("note.txt", "Zürich\nat noon ".encode(), "text"),
        ("note.md", b"# hi", "text"),
        ("state.json", b'\xef\xbb\xbf{"b": 1, "a": [NaN, -0.0, 1e5]}\n', "json"),
        ("chat.json", b'[{"role": "user", "content": null}]', "messages"),
        ("unknown", b"text without a suffix", "text"),
        ("image.bin", b"\x89PNG\r\n\xff", "bytes"),
        ("empty.txt", b"", "text"),
    ],
)
def test_files(nbmf_command, registry, stable, tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    blob = tmp_path / "blob.nbmf"
    assert run(nbmf_command, registry, "encode", tmp_path / name, "-o", blob) == b""
    assert inspect(blob.read_bytes()).kind == kind
    assert run(nbmf_command, registry, "decode", blob, "-o", tmp_path / "back") == b""
    if kind in ("json", "messages"):
        found = json_text.loads((tmp_path / "back").read_text())
        assert to_canonical(found) == to_canonical(json_text.loads(content.decode("utf-8-sig")))
    else:
        assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize(
    ("as_", "content", "kind"),
    [("auto", b"hi", "text"), ("auto", b"\xff", "bytes"), ("bytes", b"hi", "bytes"), ("json", b"[1]", "json")],
)
@pytest.mark.parametrize("dash", [[], ["-"]])
def test_pipes(nbmf_command, registry, as_, content, kind, dash):
    blob = run(nbmf_command, registry, "encode", *dash, "--as", as_, stdin=content)
    assert inspect(blob).kind == kind
    assert run(nbmf_command, registry, "decode", *dash, stdin=blob).rstrip(b"\n") == content


def test_arrays_come_out_as_npy(nbmf_command, stable, registry):
    array = np.arange(6, dtype="<f4").reshape(2, 3)
    out = run(nbmf_command, registry, "decode", stdin=stable.encode(array))
    found = np.load(io.BytesIO(out))
    assert (found.dtype, found.tolist()) == (array.dtype, array.tolist())


def test_json_output_is_valid_utf_8_and_can_be_encoded_again(nbmf_command, stable, registry):
    payload = {"s": "a\ud800", "ü": synthetic.nested(1000), "n": 10**5000}
    out = run(nbmf_command, registry, "decode", stdin=stable.encode(payload))
    assert "\\ud800" in out.decode("utf-8")
    assert "ü" in out.decode("utf-8")
    again = run(nbmf_command, registry, "encode", "--as", "json", stdin=out)
    assert to_canonical(stable.decode(again)) == to_canonical(payload)


NUMBERS = b'{"n":1e400,"m":-1E-999,"price":1.10,"digits":0.1234567890123456789012345,"none":-0}'


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_numbers_come_out_as_they_were_written(nbmf_command, registry, stable, tmp_path, mark):
    blob = nbmf_command("encode", "--as", "json", "--registry", registry, stdin=mark + NUMBERS).out
    assert nbmf_command("decode", "--registry", registry, stdin=blob).out == NUMBERS + b"\n"
    lines = nbmf_command("encode", "--as", "jsonl", "--registry", registry, stdin=mark + NUMBERS + b"\n[1.50]\n").out
    decoded = nbmf_command("decode", "--jsonl", "--registry", registry, stdin=lines).out
    assert decoded == b'{"payload":' + NUMBERS + b'}\n{"payload":[1.50]}\n'


def test_a_key_that_is_there_twice_is_refused(nbmf_command, error_of, registry, stable, tmp_path):
    file = tmp_path / "twice.json"
    file.write_bytes(b'{"a": [1, {"note": "first", "note": "second"}]}')
    told = error_of("encode", file, "--registry", registry)
    assert "the object at $.a[1] has the key 'note' more than once" in told
    result = nbmf_command("encode", "--as", "jsonl", "--registry", registry, stdin=b'{"a":1,"a":2}\n{"b":1}\n')
    refused, kept = map(json.loads, result.out.splitlines())
    assert (result.code, refused["line"], kept.keys()) == (3, 1, {"blob"})
    assert "the object at $ has the key 'a' more than once" in refused["message"]


def test_the_codec_that_is_used(nbmf_command, registry, stable, tmp_path):
    text = synthetic.text(random.Random(3)).encode()
    other = next(i for i in registry.list_ids() if i != stable.id)

    def codec(*options):
        return inspect(run(nbmf_command, registry, "encode", *options, stdin=text)).codec

    assert codec() == codec("--codec", "stable") == codec("--codec", stable.id[:10]) == stable.id[:4]
    assert codec("--codec", other) == other[:4]
    assert codec("--codec", "none") is None
    empty = Registry(tmp_path)
    assert inspect(run(nbmf_command, empty, "encode", stdin=text)).codec is None


def test_the_registry_of_the_environment(nbmf_command, registry, stable, monkeypatch):
    monkeypatch.setenv("NBMF_REGISTRY", registry.location)
    text = synthetic.text(random.Random(4)).encode()
    blob = run(nbmf_command, None, "encode", stdin=text)
    assert inspect(blob).codec == stable.id[:4]
    assert run(nbmf_command, None, "decode", stdin=blob) == text


def test_a_latency_budget(nbmf_command, tmp_path):
    text = "Remember that Anna prefers the window seat, and that the invoice of March is still open."
    version = (builtin.FOLDER / "DEFAULT").read_text().strip()
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / version).symlink_to(builtin.FOLDER / version)

    def coder(*options):
        command = ("encode", "--codec", version, *options)
        return inspect(run(nbmf_command, Registry(tmp_path), *command, stdin=text.encode())).coder

    assert coder("--latency-budget-ms", "5000") == "neural"
    assert coder("--latency-budget-ms", "0.001") not in ("neural", "counts")
    refused = nbmf_command("encode", "--effort", "fast", "--latency-budget-ms", "50", stdin=text.encode())
    assert (refused.code, refused.out) == (2, b"")
    assert "--effort auto" in refused.err


def test_inspect(nbmf_command, stable):
    blob = stable.encode(synthetic.records(3, seed=42)[1])
    fields = json.loads(run(nbmf_command, None, "inspect", "--json", stdin=blob))
    assert fields["kind"] == "messages"
    assert fields["codec"] == stable.id[:4]
    assert fields["blob_bytes"] == len(blob)
    out = run(nbmf_command, None, "inspect", stdin=blob).decode()
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    detail = fields.pop("detail")
    assert fields.pop("inner") is fields.pop("vectors") is None
    assert told == {k: str(v) for k, v in fields.items()} | detail
    assert "none needed" in run(nbmf_command, None, "inspect", stdin=Codec().encode("x")).decode()


def test_fidelity(nbmf_command, tmp_path):
    """Near vectors where they are asked for; how near is told beside the blob, how many by the blob."""
    record = {"note": "x", "v": [[math.sin(n * k) for n in range(1, 101)] for k in (1, 2)]}
    text, codec = json_text.dumps(record).encode(), builtin.default_codec()
    out, semantic = tmp_path / "out", ("--fidelity", "semantic")
    told = nbmf_command("encode", "--as", "json", "--codec", "builtin", *semantic, "-o", str(out), stdin=text)
    assert told.code == 0, told.err
    assert out.read_bytes() == codec.encode(record, "semantic")
    lossless = codec.encode(record)
    assert "vectors changed: 2" in told.err
    assert f"lossless {len(lossless)}" in told.err
    info = json.loads(run(nbmf_command, None, "inspect", "--json", stdin=out.read_bytes()))
    assert (info["fidelity"], info["vectors"]) == ("semantic", 2)
    assert nbmf_command("encode", "--as", "json", "--codec", "builtin", stdin=text).out == lossless
    lines = text + b'\n"words"\n'
    changed, kept = nbmf_command(
        "encode", "--as", "jsonl", "--codec", "builtin", *semantic, stdin=lines
    ).out.splitlines()
    assert base64.b64decode(json.loads(changed)["blob"]) == out.read_bytes()
    assert json.loads(changed)["similarity"]["vectors"] == 2
    assert json.loads(kept).keys() == {"blob"}
    decoded = nbmf_command("decode", "--jsonl", stdin=changed).out
    assert json.loads(decoded)["payload"]["note"] == "x"


# --- JSON Lines ---------------------------------------------------------------------------------------------------


def test_json_lines_there_and_back(nbmf_command, registry, stable, tmp_path):
    records = [*synthetic.records(20, seed=43), None, "\ud800", {"n": 10**5000}]
    path = tmp_path / "memory.jsonl"
    path.write_bytes(b"\n\n".join(json_text.dumps(r).encode("utf-8", "backslashreplace") for r in records))
    out = run(nbmf_command, registry, "encode", path)
    blobs = [base64.b64decode(json.loads(line)["blob"]) for line in out.splitlines()]
    assert [to_canonical(stable.decode(b)) for b in blobs] == [to_canonical(r) for r in records]
    assert inspect(blobs[0]).codec == stable.id[:4]
    (tmp_path / "blobs.jsonl").write_bytes(out)
    run(nbmf_command, registry, "decode", tmp_path / "blobs.jsonl", "-o", tmp_path / "back.jsonl")
    back = [json_text.loads(line)["payload"] for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert [to_canonical(r) for r in back] == [to_canonical(r) for r in records]


def test_other_payloads_in_json_lines(nbmf_command, stable, registry):
    array = np.ones(3, "<f8")
    lines = [json.dumps({"blob": base64.b64encode(stable.encode(p)).decode()}) for p in (b"\xff", array)]
    out = run(nbmf_command, registry, "decode", "--jsonl", stdin="\n".join(lines).encode())
    first, second = map(json.loads, out.splitlines())
    assert base64.b64decode(first["bytes_base64"]) == b"\xff"
    assert (second["array"]["dtype"], second["array"]["shape"]) == ("float64", [3])


@pytest.mark.parametrize("canonical", [b'1}\n{"payload":2', b'"\xff"'])
def test_a_forged_blob_is_one_line(nbmf_command, canonical):
    """Its checksum is right, what it holds is no JSON."""
    blob = frame.pack_stored(Kind.JSON, canonical)
    result = nbmf_command("decode", "--jsonl", stdin=json.dumps({"blob": base64.b64encode(blob).decode()}).encode())
    assert result.code == 3
    (line,) = map(json.loads, result.out.splitlines())
    assert line["error"] == "corrupt_blob"


def test_bad_lines_are_named_and_the_others_done(nbmf_command, registry):
    result = nbmf_command("encode", "--as", "jsonl", "--codec", "none", stdin=b'"a"\n\n{\n\xff\n"b"\n')
    assert result.code == 3
    assert "2 lines failed" in result.err
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line.get("error") for line in lines] == [None, "bad_request", "bad_request", None]
    assert [line.get("line") for line in lines] == [None, 3, 4, None]
    assert Codec().decode(base64.b64decode(lines[3]["blob"])) == "b"
    good, other = json.dumps({"blob": lines[0]["blob"]}), json.dumps({"blob": "AAAA"})
    stdin = f'{good}\n[]\n{{"blob": 3}}\n{other}\n{json.dumps(lines[1])}\n'.encode()
    result = nbmf_command("decode", "--jsonl", "--registry", registry.location, stdin=stdin)
    assert result.code == 3
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert lines[0] == {"payload": "a"}
    errors = [(line["error"], line["line"]) for line in lines[1:]]
    assert errors == [("bad_request", 2), ("bad_request", 3), ("not_a_blob", 4), ("bad_request", 5)]


def test_the_input_is_never_overwritten(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", [1, 2])
    before = path.read_bytes()
    assert error_of("encode", path, "-o", path).startswith("nbmf: bad_request:")
    assert path.read_bytes() == before


def test_a_missing_input_leaves_the_output_alone(error_of, tmp_path):
    (tmp_path / "out.jsonl").write_text("precious")
    assert "no.jsonl" in error_of("encode", tmp_path / "no.jsonl", "-o", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "precious"


# --- versions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def own_registry(registry, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(registry.location, tmp_path / "registry")
    return Registry(tmp_path / "registry")


def test_list(nbmf_command, registry):
    out = run(nbmf_command, registry, "versions", "list").decode()
    stable = registry.channels().stable
    rows = {word: line for line in out.splitlines() for word in line.split() if len(word) == 12}
    assert {i[:12] for i in registry.list_ids()} <= rows.keys()
    assert "stable" in rows[stable[:12]]
    assert sum("stable" in line for line in out.splitlines()) == 1


def test_list_of_an_empty_registry(nbmf_command, tmp_path):
    assert "no versions" in run(nbmf_command, Registry(tmp_path), "versions", "list").decode()


def test_a_damaged_version_is_one_line_of_the_list(nbmf_command, own_registry):
    stable = own_registry.channels().stable
    other = next(i for i in own_registry.list_ids() if i != stable)
    (own_registry.fetch(stable) / "d").write_bytes(b"altered")
    result = nbmf_command("versions", "list", "--registry", own_registry.location)
    assert result.code == 0
    rows = {word: line for line in result.out.decode().splitlines() for word in line.split() if len(word) == 12}
    assert "damaged" in rows[stable[:12]]
    assert "stable" in rows[stable[:12]]
    assert "damaged" not in rows[other[:12]]
    assert f"{stable[:12]}: damaged_codec:" in result.err
    assert "was altered" in result.err


def test_show(nbmf_command, registry):
    fields = json.loads(run(nbmf_command, registry, "versions", "show", "stable"))
    assert fields["id"] == registry.channels().stable
    assert fields["manifest"]["architecture"] == "zstd-dictionary"


def test_promote_and_delete(nbmf_command, own_registry, error_of):
    first = own_registry.channels().stable
    second = next(i for i in own_registry.list_ids() if i != first)
    place = ("--registry", own_registry.location)
    assert error_of("versions", "delete", first[:12], *place).startswith("nbmf: version_in_use:")
    run(nbmf_command, own_registry, "versions", "promote", second[:12], "--channel", "candidate")
    assert own_registry.channels().candidate == second
    run(nbmf_command, own_registry, "versions", "promote", "candidate")
    assert own_registry.channels().stable == second
    assert error_of("versions", "delete", first[:12], *place).startswith("nbmf: version_in_use:")
    assert own_registry.list_ids() == sorted([first, second])


def test_delete_of_a_version_never_used(nbmf_command, own_registry):
    first = own_registry.channels().stable
    second = next(i for i in own_registry.list_ids() if i != first)
    run(nbmf_command, own_registry, "versions", "delete", second[:12])
    assert own_registry.list_ids() == [first]


# --- user errors --------------------------------------------------------------------------------------------------


def test_user_errors(error_of, registry, stable, tmp_path):
    place = ("--registry", registry.location)
    (tmp_path / "bad.json").write_text("{")
    blob = stable.encode(synthetic.records(1, seed=44)[0])
    cases = [
        (("encode", tmp_path / "no.txt", *place), b"", "No such file"),
        (("encode", tmp_path, *place), b"", "Is a directory"),
        (("encode", tmp_path / "bad.json", *place), b"", "bad_request: the input is not JSON"),
        (("encode", "--as", "text", *place), b"\xff", "--as bytes"),
        (("encode", "--codec", "zz", *place), b"x", "version_not_found"),
        (("encode", "--codec", "candidate", *place), b"x", "version_not_found"),
        (("encode", "-o", tmp_path / "no" / "out", *place), b"x", "No such file"),
        (("encode", "--registry", "nowhere://x"), b"x", "registry_error"),
        (("decode", *place), b"hello", "not_a_blob"),
        (("decode", *place), b"", "corrupt_blob"),
        (("decode", *place), blob[:-1] + bytes([blob[-1] ^ 1]), "checksum_mismatch"),
        (("decode", "--registry", tmp_path), blob, "unknown_codec"),
        (("decode", "--max-output-bytes", "10", *place), blob, "output_too_large"),
        (("inspect", tmp_path / "no"), b"", "No such file"),
        (("versions", "show", "zz", *place), b"", "version_not_found"),
        (("versions", "promote", "zz", *place), b"", "version_not_found"),
        (("versions", "delete", "zz", *place), b"", "version_not_found"),
    ]
    for arguments, stdin, expected in cases:
        assert expected in error_of(*arguments, stdin=stdin), arguments


def test_a_damaged_version(error_of, own_registry):
    (folder,) = (p for p in own_registry.fetch(own_registry.resolve()).iterdir() if p.name == "d")
    folder.write_bytes(b"altered")
    place = ("--registry", own_registry.location)
    assert error_of("encode", *place, stdin=b"x").startswith("nbmf: damaged_codec:")
    assert error_of("versions", "show", "stable", *place).startswith("nbmf: damaged_codec:")


@pytest.mark.parametrize("arguments", [["encode", "--as", "xml"], ["decode", "--nothing"], ["encode", "a", "b"]])
def test_wrong_usage(nbmf_command, arguments):
    result = nbmf_command(*arguments)
    assert (result.code, result.out) == (2, b"")
    assert "Traceback" not in result.err


def test_the_stub_as_the_stable_version(nbmf_command, tmp_path):
    registry = Registry(tmp_path / "registry")
    assert "stub is now stable" in run(nbmf_command, registry, "versions", "promote", "stub").decode()
    assert "the zlib stub" in run(nbmf_command, registry, "versions", "list").decode()
    (tmp_path / "a.json").write_text('{"a": [1, 2]}')
    held = run(nbmf_command, registry, "encode", tmp_path / "a.json")
    assert compat.form_of(json.loads(held)) == "stub"
    assert run(nbmf_command, registry, "decode", stdin=held) == b'{"a":[1,2]}\n'
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
    lines = run(nbmf_command, registry, "encode", tmp_path / "a.jsonl")
    assert run(nbmf_command, registry, "decode", "--jsonl", stdin=lines) == b'{"dict_blob":"stub","payload":{"a":1}}\n'
    refused = nbmf_command("migrate", tmp_path / "a.jsonl", tmp_path / "new", "--registry", registry.location)
    assert refused.code == 2
    assert "the stub is what is migrated from" in refused.err
