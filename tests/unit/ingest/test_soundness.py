"""Requests that a proxy may read otherwise than the ingress are refused, however well aiohttp reads them."""

import pytest
from aiohttp import HttpVersion
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ingest.http.soundness import is_sound


@pytest.mark.parametrize(
    ("version", "headers", "sound"),
    [
        ((1, 1), [], True),
        ((1, 0), [], True),
        ((1, 1), [("Content-Length", "17")], True),
        ((1, 1), [("Transfer-Encoding", "chunked")], True),
        ((1, 1), [("Transfer-Encoding", "Chunked")], True),
        ((0, 9), [], False),
        ((2, 0), [], False),
        ((1, 1), [("Content-Length", "0" * 5_000 + "17")], False),
        ((1, 0), [("Transfer-Encoding", "chunked")], False),
        ((1, 1), [("Transfer-Encoding", "gzip")], False),
        ((1, 1), [("Transfer-Encoding", "gzip, chunked")], False),
        ((1, 1), [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], False),
        ((1, 1), [("Transfer-Encoding", "chunked"), ("Content-Length", "17")], False),
    ],
)
def test_only_what_everybody_reads_alike_is_sound(
    version: tuple[int, int], headers: list[tuple[str, str]], sound: bool
) -> None:
    """HTTP/1.1 with one length or with chunks alone, and HTTP/1.0 without chunks (RFC 9112, sections 6.1 and 6.3)."""
    request = make_mocked_request("POST", "/webhooks/acme", CIMultiDict(headers), version=HttpVersion(*version))
    assert is_sound(request) is sound
