"""Records of text and of images or sound: learnt from by their text, encoded to about the size of their bytes."""

import base64
import json
import random

import modalities
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

import nbmf
from nbmf.codec import WITHOUT_VERSION
from nbmf.payload import Canonical, Kind, to_canonical
from train_app.samples.binary import learnt_of
from train_app.samples.bounded import WHOLE_TIMES, BoundedSample
from train_app.samples.opening import Reading
from train_app.samples.reading import Intake, rows_of
from train_app.samples.sample import Sample, digest_of
from train_app.samples.split import for_learned_coders

RNG = random.Random(11)
IMAGE = modalities.image(RNG)
TEXT = "What is on the table by the window?"


def learnt(value):
    return learnt_of(*to_canonical(value)).decode()


@pytest.mark.parametrize("form", modalities.FORMS)
@pytest.mark.parametrize("shape", [modalities.image_url, modalities.image_source, modalities.input_audio])
def test_messages_of_several_modalities(shape, form):
    """Learnt is the message without the image, and the blob takes the image's bytes and what zlib makes of the rest."""
    record = shape(TEXT, form(IMAGE))
    rest = learnt(record)
    assert rest == json.dumps(shape(TEXT, "\n" if form is modalities.in_lines else ""), separators=(",", ":"))
    blob = WITHOUT_VERSION.encode(record)
    assert WITHOUT_VERSION.decode(blob) == record
    assert nbmf.inspect(blob).coder == "spans"
    assert len(blob) < len(IMAGE) + len(WITHOUT_VERSION.encode(rest)) + 16


def test_sound_that_repeats_is_no_text_either():
    silence = base64.b64encode(b"RIFF\x24\x08\0\0WAVEfmt " + bytes(4000)).decode()
    record = modalities.input_audio(TEXT, silence)
    assert "AAAA" not in learnt(record)
    assert len(WITHOUT_VERSION.encode(record)) < 160


def test_what_is_bytes_alone():
    """Whatever the form: nothing of it is learnt."""
    image = modalities.standard(IMAGE)
    for value in (IMAGE, image, modalities.url_safe(IMAGE)):
        assert learnt(value) == ""
    assert learnt(f"data:image/png;base64,{image}") == "data:image/png;base64,"
    assert for_learned_coders([sample(IMAGE), sample(image), sample(TEXT)]) == [sample(TEXT)]


def test_python_values_that_hold_bytes():
    """Are refused by the path of the bytes; by a rule they go as base64, which takes no more."""
    record = {"caption": TEXT, "images": [{"png": IMAGE}]}
    with pytest.raises(TypeError, match=r"\$\.images\[0\]\.png: cannot represent bytes"):
        WITHOUT_VERSION.encode(record)
    with_hook = WITHOUT_VERSION.encode(record, default=lambda octets: {"base64": modalities.standard(octets)})
    assert len(with_hook) < len(IMAGE) + 120
    found = WITHOUT_VERSION.decode(
        with_hook, object_hook=lambda held: base64.b64decode(held["base64"]) if held.keys() == {"base64"} else held
    )
    assert found == record


# --- reading ------------------------------------------------------------------------------------------------------


def sample(value, text=None):
    kind, canonical = to_canonical(value)
    return Sample(kind, canonical, digest_of(kind, canonical), "", text)


def taken(path, max_record_bytes=10_000, **reading):
    """Samples of a file, and what was counted."""
    intake = Intake(max_record_bytes)
    found = [one for row in rows_of(Reading(**reading).open([str(path)])) if (one := intake.sample(row))]
    return found, intake


def test_what_is_counted(tmp_path):
    records = [record for record, _ in modalities.records(24, seed=2)]
    alone = [modalities.standard(modalities.image(RNG)) for _ in range(3)]
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*synthetic.records(10, seed=3), *records, records[0], *alone])
    found, intake = taken(path)
    assert (intake.records, intake.duplicates, len(found)) == (38, 1, 37)
    learnt_from = for_learned_coders(found)
    assert len(learnt_from) == 34
    assert intake.binary.to_dict() == {
        "records": 27,
        "bytes": sum(len(one.canonical) for one in found) - sum(len(one.canonical) for one in learnt_from),
        "alone": 3,
    }
    assert intake.binary.bytes > 27 * modalities.IMAGE_BYTES * 4 / 3
    (line,) = intake.binary.lines()
    assert line.startswith(f"27 records with binary data, as base64, digits, floats or octets ({intake.binary.bytes:,}")
    assert "3 not at all" in line


def test_nothing_of_an_image_is_learnt_from():
    """No run of twelve characters of its base64."""
    made = modalities.records(60, seed=4)
    samples = for_learned_coders([sample(record) for record, _ in made])
    text = b"\n".join(one.canonical for one in samples)
    assert len(samples) == 60
    for (_, octets), one in zip(made, samples, strict=True):
        for form in modalities.FORMS:
            written = form(octets).encode()
            assert not [at for at in range(0, len(written) - 12, 6) if written[at : at + 12] in text]
        assert len(one.canonical) < 600


def test_large_images_leave_no_text_out(tmp_path):
    """The bound of a record is one of what is learnt of it."""
    large = modalities.standard(RNG.randbytes(60_000))
    long = " ".join(synthetic.text(random.Random(n)) for n in range(80))
    assert len(long) > 10_000
    records = [modalities.image_url(TEXT, large), modalities.image_url(long, large), long]
    found, intake = taken(synthetic.write_jsonl(tmp_path / "a.jsonl", records))
    assert [len(one.learnt) < 300 for one in found] == [True]
    assert len(found[0].canonical) > 80_000
    assert intake.rejections.counts == {"too_large": 2}


def test_parquet_with_bytes_beside_text(tmp_path):
    """As data sets of images have them: {bytes, path} in a struct, in a list of parts, or in a column of its own."""
    images = [modalities.image(RNG) for _ in range(3)]
    rows = [
        {"caption": f"Picture {n} of a boat.", "image": {"bytes": b, "path": f"{n}.png"}} for n, b in enumerate(images)
    ]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    found, intake = taken(path, payload="row")
    assert [one.learnt.decode() for one in found] == [
        f'{{"caption":"Picture {n} of a boat.","image":{{"bytes":{{"base64":""}},"path":"{n}.png"}}}}' for n in range(3)
    ]
    assert intake.binary.to_dict() == {"records": 3, "bytes": 3 * len(modalities.standard(images[0])), "alone": 0}
    for one, octets in zip(found, images, strict=True):
        blob = WITHOUT_VERSION.encode_canonical_batch([Canonical(one.kind, one.canonical)])[0]
        assert len(blob) < len(octets) + 100
    columns = {"parts": [[{"text": TEXT, "data": None}, {"text": None, "data": images[0]}]], "raw": [images[1]]}
    pq.write_table(pa.table(columns), path)
    (parts,), _ = taken(path, payload_field="parts")
    assert parts.learnt.decode().count('"base64":""') == 1
    (raw,), intake = taken(path, payload_field="raw")
    assert (raw.canonical, raw.learnt, intake.binary.alone) == (images[1], b"", 1)


# --- bounds -------------------------------------------------------------------------------------------------------


def bounded(samples, most):
    found = BoundedSample(most)
    for one in samples:
        found.add(one)
    return found.samples()


def numbered(n, whole_bytes, learnt_bytes):
    data = b"x" * whole_bytes
    return Sample(Kind.TEXT, data, n.to_bytes(16, "big"), "", data[:learnt_bytes])


def test_a_bounded_sample_counts_what_is_learnt():
    with_images = [numbered(n, 300, 100) for n in range(50)]
    assert len(bounded(with_images, 1000)) == 10
    assert len(bounded([numbered(n, 100, 100) for n in range(50)], 1000)) == 10


def test_and_holds_no_more_than_some_times_as_much():
    large = [numbered(n, 1000, 1) for n in range(50)]
    found = bounded(large, 1000)
    assert found == large[:WHOLE_TIMES]
    assert bounded(large[::-1], 1000) == found
