"""attribution.md from lists of sources: what is in it, and what may not be learnt from."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from train_app.attribution import ALLOWED, AttributionError, attribution, is_allowed, parse, read_sets, used

FIRST = """# Sources

- **Dialogues-1** (sets talks, frames): by Ann Author (doi 10.1/2), Firm LLC; https://git.test/a/b (commit d92cb6af); \
CC BY 4.0, https://creativecommons.org/licenses/by/4.0/ (see PERL). Changed: fields renamed; long ones left out.
- **Schemas** (set schemas): Copyright 2015 Firm; https://git.test/c (commit 3b64); Apache-2.0, with this NOTICE: \
"Schemas / Copyright 2015 Firm". Changed: cut into sub-objects.

## Personal data

- train: **talks** (names)
"""
SECOND = """# Texts

All were read. Every set was changed in the same way unless said otherwise: cut into
records, repeats dropped.
CC BY 4.0: https://creativecommons.org/licenses/by/4.0/ .

**org/guides** - (c) An Office et al.. https://git.test/org/guides, commit debc24. \
Licence: US public domain / CC0 1.0. Used in: handbook, guides_x. Change: as described above. \
Real people's names/handles: few names. LLM-made: no.

**org/docs** - (c) Org, Inc. and others. https://git.test/org/docs, commit 1f36. \
Licence: CC BY 4.0 (docs), MIT (code). Used in: docs_de, handbook. Change: windows of turns; re-keyed. \
Real people's names/handles: no. LLM-made: yes (all).

**org/only** - (c) Org. https://git.test/org/only, commit ff6d. Licence: Apache-2.0. \
Used in: none (training); EVALUATION only: eval_ja. Change: as described above. \
Real people's names/handles: no. LLM-made: no.

# Rows

**How every source was changed:** files were parsed and cut.

## Training

**row/er** - copyright holder: Row Er; maps: Other; https://git.test/row/er, commit 5733f6 (2025-08-19); \
licence: MIT (only tests/ used); used in: rows (1,424), handbook (3). Changed as described at the top. \
Real people's names/handles/mail: no. Text made by a language model: not known / no.

**row/odd** - copyright holder: Odd; https://git.test/odd, commit 57; licence: BSD/MIT style (see its file); \
used in: odd (4). Changed as described at the top. \
Real people's names/handles/mail: no. Text made by a language model: no.

## Evaluation only (never in training)

**row/eval** - copyright holder: E; https://git.test/e, commit 99; licence: GPL-3.0; used in: eval_rows (110). \
Changed as described at the top. Real people's names/handles/mail: no. Text made by a language model: no.

## Looked at and left out

LGPL things.
"""
EXPECTED = """
- **Dialogues-1** (set talks): by Ann Author (doi 10.1/2), Firm LLC; https://git.test/a/b (commit d92cb6af); \
CC BY 4.0, https://creativecommons.org/licenses/by/4.0/ (see PERL). Changed: fields renamed; long ones left out.
- **Schemas** (set schemas): Copyright 2015 Firm; https://git.test/c (commit 3b64); Apache-2.0, with this NOTICE: \
"Schemas / Copyright 2015 Firm". Changed: cut into sub-objects.

Of the following: Every set was changed in the same way unless said otherwise: cut into records, repeats dropped.

- **org/guides** (set handbook): An Office et al.; https://git.test/org/guides (commit debc24); \
US public domain / CC0 1.0. Changed: as described above.
- **org/docs** (sets docs_de, handbook): Org, Inc. and others; https://git.test/org/docs (commit 1f36); \
CC BY 4.0 (docs), MIT (code), https://creativecommons.org/licenses/by/4.0/. Changed: windows of turns; re-keyed.

Of the following: Files were parsed and cut.

- **row/er** (sets rows, handbook): Row Er; maps: Other; https://git.test/row/er (commit 5733f6); \
MIT (only tests/ used). Changed: as described above.
"""
SETS = {"talks", "schemas", "handbook", "docs_de", "rows"}


@pytest.fixture(scope="module")
def sources():
    return [*parse(FIRST), *parse(SECOND)]


@pytest.fixture
def lists(tmp_path):
    paths = tmp_path / "FIRST.md", tmp_path / "SECOND.md"
    for path, text in zip(paths, (FIRST, SECOND), strict=True):
        path.write_text(text)
    return paths


def command(*args):
    """(exit code, standard output, standard error)."""
    done = subprocess.run([sys.executable, "-m", "train_app.attribution", *args], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_sources_that_are_used_are_named_with_the_sets_that_are(sources):
    text = attribution(used(sources, SETS))
    assert text.startswith("# What the built-in codec version was trained on\n\nThe version holds weights")
    assert text.endswith(EXPECTED)


def test_what_is_written_can_be_read(sources):
    chosen = used(sources, SETS)
    again = list(parse(attribution(chosen)))
    assert [(s.name, s.sets, s.copyright, s.url) for s in again] == [
        (s.name, s.sets, s.copyright, s.url) for s in chosen
    ]
    assert all(is_allowed(source.licence) for source in again)


def test_sets_without_a_source_and_for_evaluation_are_refused(sources):
    with pytest.raises(AttributionError, match="set nowhere: it has no source") as error:
        used(sources, {*SETS, "nowhere", "eval_ja", "eval_rows"})
    for name in ("eval_ja", "eval_rows"):
        assert f"set {name}: its sources are for evaluation only" in str(error.value)


def test_a_licence_that_is_not_on_the_list_is_refused(sources):
    with pytest.raises(
        AttributionError, match=r"row/odd \(sets odd\): its licence is not on the allowed list: BSD/MIT"
    ):
        used(sources, {*SETS, "odd"})


def test_a_source_that_cannot_be_read_is_refused():
    with pytest.raises(AttributionError, match=r"cannot be read: \*\*org/guides\*\* - An Office"):
        list(parse("**org/guides** - An Office; MIT"))


@pytest.mark.parametrize(
    "licence",
    [
        *sorted(ALLOWED), "data CC BY 4.0", "MIT or Apache-2.0", "Apache-2.0 OR BSD-3-Clause",
        "MIT (repo); docs CC BY 4.0",
        "public domain or CC0-1.0 (only some)", "CC-BY-4.0 (docs) and MIT (code)", "MIT / Apache-2.0 (transition)",
        "CC-BY-4.0 (data/, per data/LICENSE); BSD-3-Clause for code",
        "Apache-2.0 (repo); any specification content CC0-1.0",
    ],
)  # fmt: skip
def test_allowed(licence):
    assert is_allowed(licence)


@pytest.mark.parametrize(
    "licence",
    [
        "", "(MIT)", "GPL-3.0", "MIT or GPL-2.0", "MIT (parts LGPL)", "CC BY-SA 4.0", "CC BY-NC 4.0",
        "CC BY 3.0 and MIT",
        "MIT-like", "MIT, for research", "CC0 1.0 (no commercial use; CC BY-NC-ND)", "none", "proprietary",
    ],
)  # fmt: skip
def test_not_allowed(licence):
    assert not is_allowed(licence)


def test_sets_are_read_from_records_manifests_and_text(tmp_path):
    pq.write_table(pa.table({"set": ["a", "b", "a", None], "kind": ["c"] * 4}), tmp_path / "records.parquet")
    (tmp_path / "manifest.json").write_text(json.dumps({"data": {"classes": {"a": 3, "b": 1}}}))
    (tmp_path / "sets.txt").write_text("a\n\n b\n")
    for name in ("records.parquet", "manifest.json", "sets.txt"):
        assert read_sets(tmp_path / name) == {"a", "b"}
    assert read_sets(tmp_path / "records.parquet", "kind") == {"c"}
    (tmp_path / "manifest.json").write_text(json.dumps({"data": {}}))
    with pytest.raises(AttributionError, match="names no classes"):
        read_sets(tmp_path / "manifest.json")


def test_the_command(lists, tmp_path):
    (tmp_path / "sets.txt").write_text("\n".join(SETS))
    (tmp_path / "more.txt").write_text("odd")
    code, out, err = command(*lists, "--sets", tmp_path / "sets.txt")
    assert (code, err) == (0, "")
    assert out.endswith(EXPECTED)
    both = (*lists, "--sets", tmp_path / "sets.txt", "--sets", tmp_path / "more.txt")
    code, out, err = command(*both)
    assert (code, out) == (1, "")
    assert err.startswith("nbmf: attribution_error: row/odd")
    code, out, err = command(*both, "--licence", "row/odd=MIT")
    assert code == 0
    assert "(set odd): Odd; https://git.test/odd (commit 57); MIT. " in out
    assert command(*both, "--licence", "row/none=MIT")[0] == 2
