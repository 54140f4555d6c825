"""What is taken for a secret or for somebody's, and what is not."""

import pytest

from cluster.personal import What, find, masked

HEX = "9f86d081884c7d65"
FOUND = {
    "AKIAQ3EGTWZK7PLM": What.SECRET,
    "token ghp_16C7e42F292c69": What.SECRET,
    "xoxb-2938475610-Qw3": What.SECRET,
    "sk-proj-8fJ2kLmN4pQ": What.SECRET,
    "sk_live_4eC39HqLyjWD": What.SECRET,
    "-----BEGIN RSA PRIVATE KEY-----": What.SECRET,
    "eyJhbGciOiJIUzI1": What.SECRET,
    "postgres://app:hunter2@db:5432": What.SECRET,
    "anna.kowalska@mail.net": What.MAIL,
    r"first\nanna@mail.net": What.MAIL,
    r"\u003canna@mail.net\u003e": What.MAIL,
    "+49 171 5236408": What.PHONE,
    "(212) 867-5309": What.PHONE,
    "212-867-5309": What.PHONE,
    "4539 1488 0343 6467": What.CARD,
    "371449635398456": What.CARD,
    "id 928173645": What.DIGITS,
    HEX: What.HEX,
    "kJ8s/Qz2Lw9Xb4Vn7Tt1Rm": What.RANDOM,
    "at 81.2.69.160 since": What.IP,
}
NOT_FOUND = (
    "anna@example.com or a@b.test",
    "git@github.com:org/name",
    r"def f():\n@pytest.fixture",
    "react@18.2.0",
    "+1234567890 and +1 555 0100 99",
    "2026-01-02T10:20:30+0000",
    "4242 4242 4242 4242",
    "4539 1488 0343 6468",  # no check digit
    "0.333333333333 of 1000000000",
    "10.0.0.1, 192.168.1.9, 203.0.113.7 and 1.2.3.400",
    "AKIAIOSFODNN7EXAMPLE",
    "task-management-of-2026",
    "https://user:password@host/ and https://u:${PASS}@host",
    "getUserByIdAndOrganizationName",
    "application/vnd.github.v3+json",
    "deadbeefdeadbeef",
    "123456789",
    "the -----BEGIN PUBLIC KEY----- of all",
)


@pytest.mark.parametrize(("text", "what"), FOUND.items())
def test_found(text, what):
    findings = list(find(text.encode()))
    assert what in {finding.what for finding in findings}
    for finding in findings:
        assert 0 <= finding.begin < finding.end <= len(text)


@pytest.mark.parametrize("text", NOT_FOUND)
def test_not_found(text):
    assert not list(find(text.encode()))


def test_findings_end_at_a_nul_byte():
    assert not list(find(b"anna@ma\0il.net 92817\0364 9f86d081\0884c7d65"))


def test_examples_are_masked():
    assert masked(b"anna@mail.net") == "anna… (13)"
