"""Secrets and personal strings in text: what a shared version should not spell.

The forms of keys and tokens are those that their makers document (AWS, GitHub, GitLab, Google, Slack, Stripe, OpenAI);
collections of rules such as gitleaks look for the same. They are shorter here than a whole key: what is looked at may
be cut anywhere. Mail addresses are left out that belong to nobody (RFC 2606: example.com, .test), or to a role (git@,
noreply@); telephone numbers that are kept for fiction (555); card numbers that are published for tests; IPv4 addresses
that are private or for documentation.
"""

from __future__ import annotations

import enum
import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple


class What(enum.StrEnum):
    """Kinds of findings."""

    SECRET = "secret"  # noqa: S105 - a name
    MAIL = "mail"
    PHONE = "phone"
    CARD = "card"
    DIGITS = "digits"
    HEX = "hex"
    RANDOM = "random"
    IP = "ip"


FORBIDDEN = (What.SECRET, What.MAIL, What.PHONE, What.CARD)
"""Kinds that are somebody's in all likelihood; the others may be."""

RUN = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/=_-"
SHORTEST_RUN = 12
"""Keys, hexadecimal numbers and the like have this many characters of RUN in a row, with nothing between."""
LEAST_DIGITS = 4
"""Of numbers of any kind here."""
MARKS = (b"@", b"PRIVATE KEY")
"""What has neither a run nor digits has one of these."""


class Finding(NamedTuple):
    """Where in the text, and what it is."""

    what: What
    begin: int
    end: int


class _Rule(NamedTuple):
    what: What
    pattern: re.Pattern[bytes]
    holds: Callable[[bytes], bool] = lambda _text: True


def find(data: bytes) -> Iterator[Finding]:
    """All findings, kind after kind. A NUL byte ends whatever is before it."""
    for what, pattern, holds in _RULES:
        for match in pattern.finditer(data):
            if holds(match[0]):
                yield Finding(what, *match.span())


def masked(text: bytes) -> str:
    """Its first four characters, and how many there are."""
    characters = text.decode(errors="replace")
    return f"{characters[:4]}… ({len(characters)})"


def _digits(text: bytes) -> bytes:
    return bytes(byte for byte in text if 48 <= byte <= 57)


def _is_no_sample(digits: bytes) -> bool:
    """Neither 1234567890 nor of one or two digits."""
    return len(set(digits)) > 2 and digits not in b"01234567890123456789"


def _entropy(text: bytes) -> float:
    """Bits a byte."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _class_of(byte: int) -> str:
    character = chr(byte)
    return "0" if character.isdigit() else "A" if character.isupper() else "a" if character.islower() else ""


def _looks_random(text: bytes) -> bool:
    """Letters of both cases and digits in no order: words in camel case and paths seldom change between these."""
    classes = [_class_of(byte) for byte in text]
    changes = sum(before != after and bool(before) and bool(after) for before, after in pairwise(classes))
    return set("0Aa") <= set(classes) and changes >= _LEAST_CHANGES * len(text) and _entropy(text) >= _LEAST_ENTROPY


def _is_key(text: bytes) -> bool:
    """Behind a prefix that words may have too."""
    return any(48 <= byte <= 57 for byte in text) and len(set(text)) >= _LEAST_DISTINCT


def _is_access_key(text: bytes) -> bool:
    return not text.startswith(_AWS_EXAMPLE) and not _AWS_EXAMPLE.startswith(text) and len(set(text)) >= _LEAST_DISTINCT


def _has_password(text: bytes) -> bool:
    password = text[:-1].rpartition(b":")[2]
    return not _PLACEHOLDER.fullmatch(password)


def _is_mail(text: bytes) -> bool:
    local, _, domain = text.lower().partition(b"@")
    return local not in _ROLES and not domain.startswith(b"example.") and not domain.endswith(_RESERVED_DOMAINS)


def _is_international(text: bytes) -> bool:
    digits = _digits(text)
    return 9 <= len(digits) <= 15 and not digits.startswith(b"1555") and _is_no_sample(digits)


def _is_american(text: bytes) -> bool:
    digits = _digits(text)
    return b"555" not in (digits[:3], digits[3:6]) and _is_no_sample(digits)


def _is_card(text: bytes) -> bool:
    digits = _digits(text)
    if digits in _TEST_CARDS or len(set(digits)) < 3 or not _ISSUERS.fullmatch(digits):
        return False
    doubled = sum(sum(divmod(2 * (byte - 48), 10)) for byte in digits[-2::-2])
    return (doubled + sum(byte - 48 for byte in digits[::-2])) % 10 == 0


def _is_long_number(text: bytes) -> bool:
    return _is_no_sample(text)


def _is_long_hex(text: bytes) -> bool:
    return not text.isdigit() and not text.isalpha() and _entropy(text) >= _LEAST_HEX_ENTROPY


def _is_global(text: bytes) -> bool:
    try:
        address = ipaddress.IPv4Address(text.decode())
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


_LEAST_CHANGES, _LEAST_ENTROPY, _LEAST_HEX_ENTROPY, _LEAST_DISTINCT = 0.4, 3.5, 2.5, 7
_AWS_EXAMPLE = b"AKIAIOSFODNN7EXAMPLE"
_PLACEHOLDER = re.compile(rb"(?i)pass(?:word|wd)?|pwd|secret|token|x+|\*+|\.+|[$<{\[%].*|redacted")
_ROLES = (b"git", b"noreply", b"no-reply", b"donotreply")
_RESERVED_DOMAINS = (
    b".example",
    b".test",
    b".invalid",
    b".localhost",
    b".example.com",
    b".example.org",
    b".example.net",
)
_ISSUERS = re.compile(rb"4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12}|35\d{14}|3[068]\d{12}")
_TEST_CARDS = frozenset(
    b"4242424242424242 4000056655665556 4111111111111111 4012888888881881 5555555555554444 2223003122003222 "
    b"5200828282828210 5105105105105100 378282246310005 371449635398431 6011111111111117 6011000990139424 "
    b"3056930009020004 36227206271667 30569309025904 38520000023237 3566002020360505 3530111333300000".split()
)

_RULES = (
    _Rule(What.SECRET, re.compile(rb"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{8,}"), _is_access_key),
    _Rule(
        What.SECRET,
        re.compile(
            rb"(?<![A-Za-z0-9])(?:gh[opusr]_|github_pat_|glpat-|xox[abeoprs]-|AIza|[sr]k_(?:live|test)_|sk-)"
            rb"[A-Za-z0-9_-]{8,}"
        ),
        _is_key,
    ),
    _Rule(What.SECRET, re.compile(rb"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{10,}")),
    _Rule(What.SECRET, re.compile(rb"BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY")),
    _Rule(What.SECRET, re.compile(rb"[a-z]://[^\0\s/:@\"'<>]*:[^\0\s/:@\"'<>]+@"), _has_password),
    _Rule(
        What.MAIL,
        # behind a backslash, n and the like are line breaks
        re.compile(
            rb"(?:(?<=\\[nrt])|(?<=\\u[0-9a-f]{4})|(?<![A-Za-z0-9._%+\\-]))[A-Za-z0-9][A-Za-z0-9._%+-]*"
            rb"@(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}"
        ),
        _is_mail,
    ),
    _Rule(
        What.PHONE,
        re.compile(
            rb"(?<![A-Za-z0-9.+])\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}(?![\w.])"
        ),
        _is_international,
    ),
    _Rule(
        What.PHONE,
        re.compile(rb"(?<![\w.-])(?:\([2-9]\d\d\) ?|[2-9]\d\d([.-]))[2-9]\d\d(?(1)\1|-)\d{4}(?![\w-])"),
        _is_american,
    ),
    _Rule(What.CARD, re.compile(rb"(?<![\w.-])(?:\d{14,16}|\d{4}([ -])\d{4}\1\d{4}\1\d{4})(?![\w-])"), _is_card),
    _Rule(What.DIGITS, re.compile(rb"(?<![\d.])\d{9,}"), _is_long_number),
    _Rule(What.HEX, re.compile(rb"(?<![0-9A-Za-z])(?:[0-9a-f]{16,}|[0-9A-F]{16,})(?![0-9A-Za-z])"), _is_long_hex),
    _Rule(What.RANDOM, re.compile(rb"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{20,}"), _looks_random),
    _Rule(What.IP, re.compile(rb"(?<![\w.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w.])"), _is_global),
)
