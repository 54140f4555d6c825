"""Requests that never stop: records are encoded, decoded and compared, by several clients at once."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import httpx

from nbmf import json_text, protocol
from nbmf.payload import Payload, to_canonical

_JSON = {"Content-Type": "application/json"}
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """One request. Times are of `time.monotonic`; `failure` is empty for 200, else the status and the service's code
    (`not the service` where something before it answered), or the name of an error of the connection."""

    begin: float
    end: float
    failure: str
    is_wrong: bool = False


class SteadyTraffic:
    """Clients that go through the records again and again, each record under a key of its own; a context manager."""

    def __init__(self, url: str, records: list[Payload], clients: int) -> None:
        self._url = url
        self._records = records
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]
        self._stop = threading.Event()
        self._answers: list[Answer] = []

    def __enter__(self) -> SteadyTraffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def since(self, moment: float) -> list[Answer]:
        """Requests that ended after this moment."""
        return [answer for answer in list(self._answers) if answer.end > moment]

    def _run(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=_TIMEOUT_S) as client:
            while True:
                for index, record in enumerate(self._records):
                    if self._stop.is_set():
                        return
                    self._round_trip(client, f"{number}/{index}", record)

    def _round_trip(self, client: httpx.Client, key: str, record: Payload) -> None:
        encoded = self._post(client, f"{protocol.ENCODE}?key={key}", {"payload": record})
        if encoded is None:
            return
        begin = time.monotonic()
        decoded = self._post(client, protocol.DECODE, {"blob": encoded["blob"]})
        if decoded is not None and to_canonical(decoded["payload"]) != to_canonical(record):
            self._answers.append(Answer(begin, time.monotonic(), "", is_wrong=True))

    def _post(self, client: httpx.Client, path: str, fields: dict[str, Payload]) -> dict[str, Payload] | None:
        begin = time.monotonic()
        failure, content = "", None
        try:
            body = json_text.dumps(fields).encode("utf-8", "backslashreplace")
            answer = client.post(path, content=body, headers=_JSON)
            if answer.status_code == 200:
                content = json_text.loads(answer.text)
            else:
                failure = _failure_of(answer)
        except httpx.TransportError as error:
            failure = type(error).__name__
        self._answers.append(Answer(begin, time.monotonic(), failure))
        return content


def _failure_of(answer: httpx.Response) -> str:
    try:
        code = answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        code = "not the service"
    return f"{answer.status_code} {code}"
