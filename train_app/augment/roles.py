"""Roles of a conversation, called as another format calls them."""

from __future__ import annotations

from typing import Any

from train_app.augment.chance import Chance
from train_app.augment.conversations import conversation_of

SYSTEM = "system"
_CONVENTIONS = (
    ("user", "assistant"),  # OpenAI, Anthropic
    ("human", "gpt"),  # ShareGPT
    ("human", "ai"),  # LangChain
    ("user", "model"),  # Gemini
    ("human", "assistant"),  # Anthropic's text completions
)
"""What who asks and who answers are called in formats that are published."""

_ASKS, _ANSWERS = ({pair[side] for pair in _CONVENTIONS} for side in (0, 1))
KNOWN = _ASKS | _ANSWERS | {SYSTEM, "tool", "function"}


def renamed(record: Any, chance: Chance) -> Any:
    """The conversation with both roles of another convention; None where not both are there, each by one name."""
    conversation = conversation_of(record)
    if conversation is None:
        return None
    speakers = set(conversation.speakers)
    asks, answers = ([name for name in speakers if name.lower() in side] for side in (_ASKS, _ANSWERS))
    if len(asks) != 1 or len(answers) != 1:
        return None
    before = (asks[0].lower(), answers[0].lower())
    after = chance.pick([pair for pair in _CONVENTIONS if pair != before])
    return conversation.renamed(
        {name: _written_as(name, new) for name, new in zip((*asks, *answers), after, strict=True)}
    )


def _written_as(name: str, new: str) -> str:
    return new.upper() if name.isupper() else new.capitalize() if name[0].isupper() else new
