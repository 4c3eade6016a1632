"""The HTTP answer of each outcome."""

import pytest

from ingest.answers import Answer, Outcome, response

_TABLE = {
    Outcome.STORED: (200, {}),
    Outcome.SPOOLED: (200, {}),
    Outcome.CHECKED: (200, {}),
    Outcome.NOT_FOUND: (404, {}),
    Outcome.ADDRESS_REFUSED: (403, {}),
    Outcome.RATE_EXCEEDED: (429, {"Retry-After": "5"}),
    Outcome.METHOD_REFUSED: (405, {"Allow": "GET, HEAD, POST"}),
    Outcome.MALFORMED: (400, {}),
    Outcome.BODY_TOO_LARGE: (413, {}),
    Outcome.BODY_TOO_SLOW: (408, {}),
    Outcome.CLIENT_LEFT: (400, {}),
    Outcome.CONNECTIONS_FULL: (503, {"Retry-After": "5"}),
    Outcome.IN_FLIGHT_FULL: (503, {"Retry-After": "5"}),
    Outcome.UNAVAILABLE: (503, {"Retry-After": "5"}),
    Outcome.STOPPING: (503, {"Retry-After": "5"}),
    Outcome.FAILED: (503, {"Retry-After": "5"}),
}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_its_answer(outcome: Outcome) -> None:
    """Status and headers are those of the table; the body is empty and the server has no version."""
    made = response(Answer(outcome))
    status, headers = _TABLE[outcome]
    assert (made.status, dict(made.headers), made.body) == (status, {"Server": "dropstream", **headers}, None)


def test_an_answer_names_its_delivery_and_its_wait() -> None:
    """The id of a stored delivery and the seconds to stay away are in the headers."""
    stored = response(Answer(Outcome.STORED, "acme", delivery_id="an-id"))
    assert stored.headers["Dropstream-Delivery"] == "an-id"
    slowed = response(Answer(Outcome.RATE_EXCEEDED, "acme", retry_after_s=17))
    assert slowed.headers["Retry-After"] == "17"
