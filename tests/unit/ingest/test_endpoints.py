"""Which endpoint a path opens, and from where it may be used."""

import pytest

from ingest.endpoints import Endpoint, EndpointTable
from schemas.configuration import Context, read_configuration
from schemas.settings import Settings

_CONFIGURATION = """
[endpoints.open]
provider = "shipstream"
secrets = ["env:SECRET"]

[endpoints.guarded]
provider = "shipstream"
secrets = ["env:SECRET"]
token = "env:TOKEN"
lanes = 4

[endpoints.off]
provider = "shipstream"
secrets = ["env:SECRET"]
enabled = false

[endpoints.fenced]
provider = "shipstream"
secrets = ["env:SECRET"]
allow_from = ["203.0.113.0/24", "2001:db8::/32"]

[endpoints.slowed]
provider = "shipstream"
secrets = ["env:SECRET"]
rate_per_second = 0.5
"""


def _settings() -> Settings:
    environ = {"SECRET": "a-secret", "TOKEN": "tök/en"}
    context = Context(environ=environ, providers=["shipstream"], signing_secrets=False)
    return read_configuration(_CONFIGURATION, source="test", context=context)


def _table() -> EndpointTable:
    return EndpointTable(_settings().endpoints, now=lambda: 0.0)


def _find(path: str) -> Endpoint:
    endpoint = _table().endpoint_of(path)
    assert endpoint is not None
    return endpoint


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/webhooks/open", "open"),
        ("/webhooks/%6Fpen", "open"),
        ("/webhooks/guarded/t%C3%B6k%2Fen", "guarded"),
        ("/webhooks/open/", "open"),
        ("/webhooks/guarded/t%C3%B6k%2Fen/", "guarded"),
    ],
)
def test_a_right_path_opens_its_endpoint(path: str, name: str) -> None:
    """Name and token are compared percent-decoded; one slash behind them makes no difference."""
    assert _find(path).name == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "/",
        "/webhooks",
        "/webhooks/",
        "/webhooks/open//",
        "/webhooks/guarded/t%C3%B6k%2Fen//",
        "/webhooks/open/surplus",
        "/webhooks/open/surplus/more",
        "/Webhooks/open",
        "//webhooks/open",
        "/webhooks/Open",
        "/webhooks/unknown",
        "/webhooks/off",
        "/webhooks/guarded",
        "/webhooks/guarded/",
        "/webhooks/guarded/wrong",
        "/webhooks/guarded/t%C3%B6k/en",
        "/webhooks/caf\udce9",
    ],
)
def test_a_wrong_path_opens_nothing(path: str) -> None:
    """Unknown, disabled, without its token, with a token too many: all the same nothing."""
    assert _table().endpoint_of(path) is None


def test_a_table_is_replaced_whole() -> None:
    """After a replacement the old endpoints are gone and the new ones are there."""
    table = _table()
    table.take(table.prepare({"newer": _settings().endpoints["open"]}))
    assert table.endpoint_of("/webhooks/open") is None
    assert table.endpoint_of("/webhooks/newer") is not None


def test_a_rate_that_stays_the_same_does_not_begin_anew() -> None:
    """A replacement gives no second burst; another rate, another burst or a new endpoint begins full."""
    table = _table()
    slowed = _settings().endpoints["slowed"]
    assert [_take(table, "slowed"), _take(table, "slowed")] == [0.0, 2.0]
    table.take(table.prepare({"slowed": slowed.model_copy(update={"lanes": 2}), "newer": slowed}))
    assert [_take(table, "slowed"), _take(table, "newer")] == [2.0, 0.0]
    table.take(table.prepare({"slowed": slowed.model_copy(update={"rate_per_second": 0.25})}))
    assert [_take(table, "slowed"), _take(table, "slowed")] == [0.0, 4.0]
    table.take(table.prepare({"slowed": slowed.model_copy(update={"rate_per_second": 0.25, "burst": 2})}))
    assert [_take(table, "slowed"), _take(table, "slowed")] == [0.0, 0.0]
    table.take(table.prepare({"slowed": slowed.model_copy(update={"rate_per_second": None})}))
    assert _take(table, "slowed") is None


def _take(table: EndpointTable, name: str) -> float | None:
    """The seconds until the endpoint takes another; None where it has no rate."""
    endpoint = table.endpoint_of(f"/webhooks/{name}")
    assert endpoint is not None
    return endpoint.bucket.take_token() if endpoint.bucket else None


def test_a_token_never_shows() -> None:
    """An endpoint's repr holds neither token nor digest."""
    assert "token" not in repr(_find("/webhooks/guarded/t%C3%B6k%2Fen"))


@pytest.mark.parametrize(
    ("remote", "allowed"),
    [
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("2001:db8::1", True),
        ("198.51.100.7", False),
        ("::ffff:198.51.100.7", False),
        ("2001:db9::1", False),
        ("", False),
    ],
)
def test_only_a_listed_address_may_deliver(remote: str, *, allowed: bool) -> None:
    """An IPv4 peer counts as one also where the socket speaks IPv6."""
    assert _find("/webhooks/fenced").allows(remote) is allowed


def test_any_address_may_deliver_where_none_is_listed() -> None:
    """No allow_from, no check."""
    assert _find("/webhooks/open").allows("198.51.100.7")


def test_a_rate_below_one_still_lets_one_pass() -> None:
    """The default burst is the rate, and at least one."""
    bucket = _find("/webhooks/slowed").bucket
    assert bucket is not None
    assert [bucket.take_token(), bucket.take_token()] == [0.0, 2.0]
