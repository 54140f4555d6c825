"""What the ingress does with requests of odd forms, in this process."""

import pytest
from octets import OCTETS


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
def test_no_body_is_sent_elsewhere(in_process, path):
    """Behind a proxy that ends TLS the redirect would be to plain HTTP."""
    answer = in_process()("POST", path + "/", content=b"{}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize("coding", ["gzip", "br, gzip", "x"])
def test_a_compressed_body_is_not_taken_for_a_record(in_process, path, coding):
    answer = in_process()("POST", path, content=b"\x1f\x8b", headers={**OCTETS, "Content-Encoding": coding})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["error"]["message"]


def test_a_body_that_says_it_is_not_compressed(in_process):
    answer = in_process()("POST", "/v1/encode", content=b"x", headers={**OCTETS, "Content-Encoding": "Identity"})
    assert answer.status_code == 200
