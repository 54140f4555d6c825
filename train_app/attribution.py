"""`python -m train_app.attribution`: the attribution.md of a version, from lists of the sources of its records.

A list names, one line a source, whose it is, where it is from, under which licence, which sets of records were made
of it and how it was changed, in one of these forms:

- **NAME** (sets A, B): COPYRIGHT; URL (commit ID); LICENCE. Changed: HOW.
**NAME** - (c) COPYRIGHT. URL, commit ID. Licence: LICENCE. Used in: A, B. Change: HOW. …
**NAME** - copyright holder: COPYRIGHT; URL, commit ID; licence: LICENCE; used in: A (RECORDS), B. Changed HOW. …

How all sources of a list were changed is in its paragraph "**How every source was changed:** …" or in lines that begin
with "Every set was changed". Sources below a heading that begins with "Evaluation only", and sets behind "EVALUATION
only:", are not learnt from.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.cli.options import LOCAL
from nbmf.errors import NbmfError

HEADER = """# What the built-in codec version was trained on

The version holds weights, a vocabulary and counts that were learnt from these sources, no records of them.

Data for training and testing this codec were made from these public sources. All were changed: cut into records, \
re-keyed, de-duplicated and sampled, as each line says. None of the authors endorses this project.
"""

ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC BY 4.0", "CC0 1.0", "ISC", "MIT", "MIT-0",
        "public domain", "Unlicense",
    }
)  # fmt: skip
"""Licences of what may be learnt from: permissive ones, the public domain, and CC BY, whose authors are named."""

_CC_BY_LINK = "https://creativecommons.org/licenses/by/4.0/"
_SPELLINGS = {"CC-BY-4.0": "CC BY 4.0", "CC0-1.0": "CC0 1.0", "CC0": "CC0 1.0", "US public domain": "public domain"}
_REMARK = re.compile(r"\([^()]*\)|,? with this NOTICE: \"[^\"]*\"|,? https?://\S+")
_FORBIDDEN_REMARK = re.compile(r"(?i)GPL|\bMPL\b|\b(?:NC|SA|ND)\b|ELv2|SSPL|OGL|non-?commercial|share-?alike|research")
_BETWEEN = re.compile(r"(?i) or | and |[/,;]")
_WHAT = re.compile(r"^(?:data|docs|code|text|(?:\w+ )*content) | for (?:the repo|code|data|docs)$")

_FORMS = tuple(
    re.compile(form)
    for form in (
        r"- \*\*(?P<name>.+?)\*\* \(sets? (?P<sets>[^)]*)\): (?P<copyright>.+); (?P<url>https?://\S+) "
        r"\(commit (?P<commit>\w+)\); (?P<licence>.+?)\. Changed: (?P<change>.+)",
        r"\*\*(?P<name>.+?)\*\* - \(c\) (?P<copyright>.+?)\. (?P<url>https?://\S+), commit (?P<commit>\w+)\. "
        r"Licence: (?P<licence>.+?)\. Used in: (?P<sets>.+?)\. Change: (?P<change>.+?\.)"
        r"(?= Real people's| LLM-made|$).*",
        r"\*\*(?P<name>.+?)\*\* - copyright holder: (?P<copyright>.+); (?P<url>https?://\S+), commit (?P<commit>\w+)"
        r"(?: \([\d-]+\))?; licence: (?P<licence>.+); used in: (?P<sets>.+?)\. Changed (?P<change>.+?\.)"
        r"(?= Real people's| Text made|$).*",
    )
)
_SOURCE_LINE = re.compile(r"(?:- )?\*\*(?!How every source was changed)")
_GENERAL = re.compile(
    r"(?ms)^\*\*How every source was changed:\*\* (?P<paragraph>.+?)$"
    r"|(?P<lines>Every set was changed.+?)(?=\nCC BY|\n\n|\Z)"
)
_AS_SAID = re.compile(r"\bas described at the top")
_RECORDS = re.compile(r" \([\d,]+\)")


class AttributionError(NbmfError):
    """Sets of the training data, their sources and licences do not fit."""

    code = "attribution_error"


@dataclass(frozen=True, slots=True)
class Source:
    """Where sets of records are from; `general` is how all sources of its list were changed."""

    name: str
    sets: tuple[str, ...]
    copyright: str
    url: str
    commit: str
    licence: str
    change: str
    general: str = ""
    evaluation: tuple[str, ...] = ()

    def line(self) -> str:
        """Of attribution.md."""
        sets = f"set{'s' * (len(self.sets) > 1)} {', '.join(self.sets)}"
        licence = self.licence
        if re.search(r"CC[ -]BY", licence) and _CC_BY_LINK not in licence:
            licence += f", {_CC_BY_LINK}"
        return (
            f"- **{self.name}** ({sets}): {self.copyright}; {self.url} (commit {self.commit}); {licence}. "
            f"Changed: {self.change}"
        )


def parse(text: str) -> Iterator[Source]:
    """The sources of a list. Raises AttributionError for a line that looks like one and cannot be read."""
    general, evaluation = "", False
    generals = {match.start(): " ".join(_general(match).split()) for match in _GENERAL.finditer(text)}
    place = 0
    for line in text.splitlines(keepends=True):
        general = next((said for at, said in generals.items() if place <= at < place + len(line)), general)
        place += len(line)
        if line.startswith("#"):
            evaluation = line.lstrip("# ").startswith("Evaluation only")
        elif _SOURCE_LINE.match(line):
            matches = (form.fullmatch(line.strip()) for form in _FORMS)
            match = next((match for match in matches if match), None)
            if match is None:
                raise AttributionError(f"a source that cannot be read: {line.strip()[:120]}")
            yield _source(match.groupdict(), general, evaluation)


def _general(match: re.Match[str]) -> str:
    said = match["paragraph"] or match["lines"]
    return said[0].upper() + said[1:]


def _source(fields: dict[str, str], general: str, evaluation: bool) -> Source:
    learnt, _, measured = fields.pop("sets").partition("EVALUATION only:")
    sets, others = ([name.strip() for name in re.split("[,;]", _RECORDS.sub("", part))] for part in (learnt, measured))
    sets = [name for name in sets if name and name != "none (training)"]
    others = [name for name in others if name]
    if evaluation:
        sets, others = [], [*sets, *others]
    fields["change"] = _AS_SAID.sub("as described above", fields["change"])
    return Source(**fields, sets=tuple(sets), general=general, evaluation=tuple(others))


def _names(licence: str) -> list[str]:
    """Of the licences, as in ALLOWED where they are in it."""
    pieces = (_WHAT.sub("", piece.strip()) for piece in _BETWEEN.split(_REMARK.sub("", licence)))
    return [_SPELLINGS.get(piece, piece) for piece in pieces if piece]


def is_allowed(licence: str) -> bool:
    """Whether all that a licence's line names may be learnt from, and no remark says otherwise."""
    names = _names(licence)
    return bool(names) and set(names) <= ALLOWED and not _FORBIDDEN_REMARK.search(licence)


def used(sources: Iterable[Source], sets: Collection[str]) -> list[Source]:
    """The sources of those sets, with these alone. Raises AttributionError for sets without, and for licences."""
    sources = list(sources)
    known = {name for source in sources for name in source.sets}
    evaluation = {name for source in sources for name in source.evaluation}
    problems = [
        f"set {name}: its sources are for evaluation only" if name in evaluation else f"set {name}: it has no source"
        for name in sorted(set(sets) - known)
    ]
    of_sets = [replace(source, sets=tuple(name for name in source.sets if name in sets)) for source in sources]
    of_sets = [source for source in of_sets if source.sets]
    problems += [
        f"{source.name} (sets {', '.join(source.sets)}): its licence is not on the allowed list: {source.licence}"
        for source in of_sets
        if not is_allowed(source.licence)
    ]
    if problems:
        raise AttributionError("\n".join(problems))
    return of_sets


def attribution(sources: Iterable[Source]) -> str:
    """The file's text. What is said of many sources is said once, before them."""
    groups: dict[str, list[str]] = {"": []}
    for source in sources:
        groups.setdefault(source.general, []).append(source.line())
    paragraphs = [HEADER]
    for general, lines in groups.items():
        paragraphs += [f"Of the following: {general}\n"] if general else []
        paragraphs += ["\n".join(lines) + "\n"] if lines else []
    return "\n".join(paragraphs)


def read_sets(path: Path, field: str = "set") -> set[str]:
    """Names of sets: a column of a Parquet file, the classes of a version's manifest, or a line each."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return {name for name in pq.read_table(path, columns=[field])[field].unique().to_pylist() if name}
    text = path.read_text()
    if path.suffix == ".json":
        held: dict[str, Any] = json.loads(text)
        classes = held["data"].get("classes")
        if not classes:
            raise AttributionError(f"{path} names no classes: it was trained without --class-field")
        return set(classes)
    return {line.strip() for line in text.splitlines() if line.strip()}


def write(
    lists: Annotated[list[Path], typer.Argument(**LOCAL, help="Lists of sources.", show_default=False)],
    sets: Annotated[
        list[Path],
        typer.Option(
            **LOCAL,
            help="The sets that are learnt from: a Parquet file of records, a version's manifest.json, or a text file "
            "with a name a line. Repeatable.",
            show_default=False,
        ),
    ],
    class_field: Annotated[str, typer.Option(help="Parquet: the column with the record's set.")] = "set",
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="Licence of a source, after a look at it, in place of what its list says: NAME=LICENCE. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write to standard output what a version says of the sources that it learnt from, for `nbmf train --attach`.

    Fails where a set has no source, and where a licence is not among those that may be learnt from.
    """
    sources = [source for path in lists for source in parse(path.read_text())]
    looked_at = {name: said for name, _, said in (pair.partition("=") for pair in licence or [])}
    unknown = looked_at.keys() - {source.name for source in sources}
    if unknown:
        raise typer.BadParameter(f"no source is called {', '.join(sorted(unknown))}", param_hint="--licence")
    sources = [replace(source, licence=looked_at.get(source.name, source.licence)) for source in sources]
    learnt_from = {name for path in sets for name in read_sets(path, class_field)}
    typer.echo(attribution(used(sources, learnt_from)), nl=False)


def main() -> None:
    """Errors that a user can mend are one message."""
    try:
        typer.run(write)
    except NbmfError as error:
        typer.echo(f"nbmf: {error.code}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
