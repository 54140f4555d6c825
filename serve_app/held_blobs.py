"""Decodes blobs in whatever holds them: as they are, or in dict blobs of nbmf or of the stub, which needs no codec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nbmf.payload import Kind
from serve_app.observe.calls import Call
from serve_app.reading.dict_blobs import PREVIEW, STUB, DictBlob, blobs_of_octets, may_be_dict_blob, records_of_stub
from serve_app.reading.items import Record, check_count
from serve_app.reading.reader import Reader
from serve_app.service import CodecService
from serve_app.work.results import Failure

Held = bytes | DictBlob | Failure


class Decoded(NamedTuple):
    """A record: number of its kind, canonical bytes, and which dict blob held it, as of compat.form_of; None for a
    blob as it is."""

    kind: int
    canonical: bytes
    form: str | None


class HeldBlobs:
    """Decodes by a service, and reads what the stub wrote by a reader."""

    def __init__(self, service: CodecService, reader: Reader) -> None:
        self._service = service
        self._reader = reader

    async def of_octets(self, call: Call, items: Sequence[bytes]) -> list[Decoded | Failure]:
        """As `decode`, of blobs as octets, or dict blobs as JSON text."""
        check_count(len(items), self._service.config.max_batch_records)
        if not any(map(may_be_dict_blob, items)):
            return await self.decode(call, items)
        _, held = await self._reader.read(blobs_of_octets, items, deadline=call.deadline)
        return await self.decode(call, held)

    async def decode(self, call: Call, held: Sequence[Held]) -> list[Decoded | Failure]:
        """The record in each, or why there is none. Raises as CodecService.decode."""
        texts = [item.data for item in held if isinstance(item, DictBlob) and item.form == STUB]
        records: Iterator[Record | Failure] = iter(())
        if texts:
            _, read = await self._reader.read(records_of_stub, texts, deadline=call.deadline)
            records = iter(read)
        blobs = [_blob(item) for item in held if not _is_stubs(item)]
        decoded = iter(await self._service.decode(call, blobs))
        call.records = len(held)
        results: list[Decoded | Failure] = []
        for item in held:
            form = item.form if isinstance(item, DictBlob) else None
            if form == PREVIEW and isinstance(item, DictBlob):
                results.append(Decoded(Kind.TEXT, item.data, form))
                continue
            result = next(records if form == STUB else decoded)
            if isinstance(result, Record):
                result = result.record.kind, result.record.canonical
            results.append(result if isinstance(result, Failure) else Decoded(*result, form))
        return results


def _is_stubs(item: Held) -> bool:
    return isinstance(item, DictBlob) and item.form in (STUB, PREVIEW)


def _blob(item: Held) -> bytes | Failure:
    return item.data if isinstance(item, DictBlob) else item
