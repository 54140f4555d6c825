"""What sources give: records, and bad records with their reasons."""

from cluster.sources import BadRecord, Record


def read(source):
    return [item for shard in source.plan() for item in source.read(shard)]


def good(items):
    assert [i for i in items if not isinstance(i, Record)] == []
    return items


def reasons(items):
    return [i.reason if isinstance(i, BadRecord) else None for i in items]


def by_line(records):
    """Records of a store that came from JSON Lines without keys, in the order of the lines."""
    return sorted(records, key=lambda record: int(record.key.rpartition(":")[2]))
