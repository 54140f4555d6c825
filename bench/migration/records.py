"""Small records of a made-up assistant, each from its number alone: any of them can be made again to compare with."""

from __future__ import annotations

import random

from nbmf.payload import Payload

CLASSES = ("note", "chat", "tool_call")

_NAMES = ("Amara", "Birgit", "Chen", "Dmitri", "Esi", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kavya", "Liam")
_DID = ("moved", "cancelled", "confirmed", "asked about", "forgot", "paid for", "described", "postponed")
_WHAT = ("the dentist appointment", "a flight to Lisbon", "the quarterly report", "two concert tickets",
         "the piano lesson", "a table for four", "the insurance claim", "the garden fence")  # fmt: skip
_HOW = ("before the weekend", "without saying why", "on the phone", "because of the rain", "for the second time")
_TOOLS = ("calendar.create_event", "mail.search", "notes.append", "weather.lookup")


def key_of(number: int) -> str:
    """The key of a record; keys are in the order of the numbers."""
    return f"agent/{number:010}"


def class_of(number: int) -> str:
    """The class of a record."""
    return CLASSES[number % len(CLASSES)]


def payload_of(number: int) -> Payload:
    """The payload of a record: text, a conversation or a tool call, of some 250 bytes."""
    rng = random.Random(number)
    match class_of(number):
        case "note":
            return " ".join(_sentence(rng) for _ in range(rng.randrange(2, 5)))
        case "chat":
            return [
                {"role": "user", "content": f"Please remember: {_sentence(rng)}"},
                {"role": "assistant", "content": f"I will remember that {_sentence(rng)}"},
            ]
        case _:
            return {
                "type": "tool_call",
                "id": f"call_{rng.getrandbits(32):08x}",
                "name": rng.choice(_TOOLS),
                "arguments": {"query": _sentence(rng), "limit": rng.randrange(50), "score": round(rng.random(), 6)},
                "ok": rng.random() < 0.9,
                "error": None,
            }


def _sentence(rng: random.Random) -> str:
    when = f"on day {rng.randrange(1, 366)} at {rng.randrange(24)}:{rng.randrange(60):02}"
    return f"{rng.choice(_NAMES)} {rng.choice(_DID)} {rng.choice(_WHAT)} {rng.choice(_HOW)} {when}."
