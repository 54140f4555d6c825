"""A source as a user would write it: `--reader paragraphs:Paragraphs`."""

from dataclasses import dataclass
from pathlib import Path

from cluster.sources import BadRecord, Record, Shard, SourceOptions, stamp


@dataclass(frozen=True)
class Paragraphs:
    """A folder of text files, a paragraph a record."""

    location: str
    options: SourceOptions

    def plan(self):
        names = sorted(path.name for path in Path(self.location).glob("*.txt"))
        return [Shard(self.location, (name,), (stamp(self.location, name),)) for name in names]

    def read(self, shard):
        (name,) = shard.span
        path = Path(shard.path) / name
        for number, text in enumerate(path.read_bytes().split(b"\n\n"), start=1):
            place, key = f"{path}:{number}", f"{name}:{number}"
            try:
                yield Record(key, self.options.class_field or "text", {}, text.decode(), place, len(text))
            except UnicodeDecodeError as error:
                yield BadRecord(place, "not_utf8", str(error), key, len(text))


class WithoutRepr:
    """A source whose repr would be another on every run."""

    def __init__(self, location, options):
        self.location = location

    def plan(self):
        return []

    def read(self, shard):
        return iter(())


def nothing(location, options):
    """No source."""


NUMBER = 7
