"""Records that the tests write themselves: text, conversations and JSON of a made-up assistant, from a seed."""

import json
import random

from nbmf.payload import to_canonical

_NAMES = ["Amara", "Birgit", "Chen", "Dmitri", "Esi", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kavya", "Liam"]
_VERBS = ["moved", "cancelled", "confirmed", "asked about", "forgot", "paid for", "described", "postponed"]
_THINGS = ["the dentist appointment", "a flight to Lisbon", "the quarterly report", "two concert tickets",
           "the piano lesson", "a table for four", "the insurance claim", "the garden fence"]  # fmt: skip
_ENDS = ["before the weekend", "without saying why", "on the phone", "because of the rain", "for the second time"]
_TOOLS = ["calendar.create_event", "mail.search", "notes.append", "weather.lookup"]


def sentence(rng):
    when = f"on day {rng.randrange(1, 366)} at {rng.randrange(24)}:{rng.randrange(60):02}"
    return f"{rng.choice(_NAMES)} {rng.choice(_VERBS)} {rng.choice(_THINGS)} {rng.choice(_ENDS)} {when}."


def text(rng):
    return " ".join(sentence(rng) for _ in range(rng.randrange(2, 6)))


def conversation(rng):
    turns = [{"role": "system", "content": "You are a helpful assistant that remembers what the user said."}]
    for _ in range(rng.randrange(1, 4)):
        turns.append({"role": "user", "content": f"Please remember: {sentence(rng)}"})
        turns.append({"role": "assistant", "content": f"I will remember that {sentence(rng)}"})
    return turns


def tool_call(rng):
    return {
        "type": "tool_call",
        "id": f"call_{rng.getrandbits(32):08x}",
        "name": rng.choice(_TOOLS),
        "arguments": {"query": sentence(rng), "limit": rng.randrange(50), "score": round(rng.random(), 6)},
        "ok": rng.random() < 0.9,
        "error": None,
    }


MAKERS = (text, conversation, tool_call)


def records(count, seed=0):
    """Distinct records, each kind in turn."""
    rng = random.Random(seed)
    found, seen = [], set()
    while len(found) < count:
        record = MAKERS[len(found) % len(MAKERS)](rng)
        canonical = to_canonical(record)
        if canonical not in seen:
            seen.add(canonical)
            found.append(record)
    return found


def write_jsonl(path, values):
    path.write_bytes(b"".join(json.dumps(v).encode() + b"\n" for v in values))
    return path


def nested(levels):
    """Lists and dicts, alternating, one in another."""
    value = "core"
    for level in range(levels):
        value = [value] if level % 2 else {"d": value}
    return value


def snapshot(folder):
    """Every file below a folder with its bytes; folders with None, links with their target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found
