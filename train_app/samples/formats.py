"""Records in formats that are known: what of them is learnt from, and their class.

Each record is looked at alone, so that what becomes of it does not depend on others. Only what names a record is left
away, never content: a record with anything more than its format has is learnt whole, as are those of no known format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from typing import Any

from cluster.sources import BadRecord, Item, NotRead, Record, Shard, Source
from cluster.sources.choice import PayloadField, Whole
from cluster.sources.parsing import Refused
from nbmf import json_text
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import Kind, Payload

ENVELOPE, MESSAGES, CONVERSATIONS, WHOLE_CHAT = "envelope", "messages", "conversations", "whole_chat"

_NAMES = {"id", "metadata"}
"""Fields that name a record, in every format."""
_OF_ENVELOPE = {"domain", "type", "data"}
_AROUND_MESSAGES = {"system", "tools", "tool_choice", "functions", "parallel_tool_calls", "model"}
_PARSED_TYPES = (TYPE_OF_KIND[Kind.JSON], "json")

_TOLD = {
    ENVELOPE: "in the specification's format: learnt from `data`, class from `domain`",
    MESSAGES: "in a chat format with `messages`: learnt from that list",
    CONVERSATIONS: "in the ShareGPT format: learnt from the list `conversations`",
    WHOLE_CHAT: "in a chat format with more than messages, as `system` or `tools`: learnt whole; --payload-field "
    "messages would learn from the messages alone",
}


@dataclass(frozen=True, slots=True)
class Unwrapped(Record):
    """What a record in a known format holds: its payload, its class where the format names one; and the format.

    `around` has what the format says besides: `id` and `metadata`, and of an envelope a `type` that is obeyed as text.
    """

    format: str = ""
    around: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownFormats:
    """A source, of whose records in a known format only the content is taken. A wrong one is a BadRecord."""

    source: Source

    def plan(self) -> list[Shard]:
        return self.source.plan()

    def not_read(self) -> Iterator[NotRead]:
        """As the source's own."""
        not_read = getattr(self.source, "not_read", None)
        return not_read() if not_read else iter(())

    def read(self, shard: Shard) -> Iterator[Item]:
        for item in self.source.read(shard):
            yield item if isinstance(item, BadRecord) else unwrap(item)


def unwrap(record: Record) -> Item:
    """An Unwrapped of a record that is in a known format; else the record.

    `{"domain", "type", "data"}`, with `id` and `metadata` or not: `data`, which is parsed if `type` is `structured` or
    `json` and it is a text; a BadRecord where that is no JSON. `{"messages"}`, as OpenAI and Anthropic have it, and
    `{"conversations"}`, ShareGPT: that list as it is. With `system`, `tools` and the like besides: the whole record.
    """
    payload = record.payload
    if type(payload) is not dict:
        return record
    fields = payload.keys() - _NAMES
    if fields == _OF_ENVELOPE and type(payload["type"]) is str and type(payload["domain"]) in (str, type(None)):
        try:
            data = _typed(payload["type"], payload["data"])
        except Refused as refused:
            return refused.bad(record.place, record.key, record.source_bytes)
        return _unwrapped(record, data, ENVELOPE, payload["domain"])
    if fields == {"conversations"} and _is_list_of(payload["conversations"], "from", "value"):
        return _unwrapped(record, payload["conversations"], CONVERSATIONS)
    if "messages" in fields and _is_list_of(payload["messages"], "role"):
        if fields == {"messages"}:
            return _unwrapped(record, payload["messages"], MESSAGES)
        if fields <= {"messages"} | _AROUND_MESSAGES:
            return _unwrapped(record, payload, WHOLE_CHAT)
    return record


def _unwrapped(record: Record, payload: Payload, format_: str, domain: str | None = None) -> Unwrapped:
    held = {one.name: getattr(record, one.name) for one in fields_of(Record)}
    held |= {"payload": payload, "record_class": record.record_class or domain or ""}
    around = {name: value for name, value in _held_around(record.payload, format_) if value is not None}
    return Unwrapped(**held, format=format_, around=around)


def _held_around(payload: Any, format_: str) -> Iterator[tuple[str, Any]]:
    for name in sorted(_NAMES & payload.keys()):
        yield name, payload[name]
    if format_ == ENVELOPE and payload["type"] not in _PARSED_TYPES:
        yield "type", payload["type"]


def _typed(type_: str, data: Any) -> Payload:
    if type_ not in _PARSED_TYPES or type(data) is not str:
        return data
    try:
        return json_text.loads(data, unique_keys=True)
    except ValueError as error:
        raise Refused("not_json", f"`type` is {type_}, but `data` is no JSON text: {error}") from error


def _is_list_of(value: Any, name: str, *more: str) -> bool:
    """A list, not empty, of objects that have a text of that name, and the others."""
    return (
        type(value) is list
        and len(value) > 0
        and all(type(one) is dict and type(one.get(name)) is str and one.keys() >= set(more) for one in value)
    )


def columns_known(columns: Set[str]) -> PayloadField:
    """What of a table with these columns is the payload, as their names are those of a known format; None: they are
    not."""
    fields = columns - _NAMES
    if fields == _OF_ENVELOPE:
        return Whole.ROW
    return next((name for name in ("messages", "conversations") if fields == {name}), None)


def lines(formats: Counter[str]) -> Iterator[str]:
    """For people: how many records of each format there are, and what is learnt of them."""
    for name, told in _TOLD.items():
        if count := formats[name]:
            yield f"{count:,} record{'' if count == 1 else 's'} {told}."
