"""Some turns of a conversation that follow one another, in place of all."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from train_app.augment.chance import Chance
from train_app.augment.conversations import conversation_of
from train_app.augment.roles import KNOWN, SYSTEM

_FEWEST = 2
_TRIES = 8


def window(record: Any, chance: Chance) -> Any:
    """A window of turns; None where there are too few.

    A system prompt stays before it. Of two who take turns, or of roles that formats name, it begins with a turn of who
    speaks first and ends before one, so that no answer stands without what it answers; of many speakers, anywhere.
    """
    conversation = conversation_of(record)
    if conversation is None:
        return None
    speakers = conversation.speakers
    head = len(list(takewhile(lambda name: name.lower() == SYSTEM, speakers)))
    own = speakers[head:]
    in_turns = len(set(own)) <= 2 or {name.lower() for name in own} <= KNOWN
    places = [head + at for at, name in enumerate(own) if not in_turns or name == own[0]]
    places.append(len(speakers))
    if len(places) < 3:
        return None
    for _ in range(_TRIES):
        first = chance.below(len(places) - 1)
        last = first + 1 + chance.below(len(places) - 1 - first)
        begin, end = places[first], places[last]
        if end - begin >= _FEWEST and end - begin < len(own):
            return conversation.window(head, begin, end)
    return None
