"""A path token while another replaces it: both are right, and neither answer nor time tells how many there are."""

import hmac
from collections.abc import Mapping

import pytest
from yarl import URL

from ingest.endpoints import EndpointTable
from ops.send.client import delivery_url
from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.settings import Settings

ENVIRON = {"SECRET": "a-secret", "NEW": "the-new-one", "OLD": "the-old-one"}
ROTATING = """
[endpoints.rotating]
provider = "shipstream"
secrets = ["env:SECRET"]
token = ["env:NEW", "env:OLD"]

[endpoints.open]
provider = "shipstream"
secrets = ["env:SECRET"]

[endpoints.off]
provider = "shipstream"
secrets = ["env:SECRET"]
token = ["env:NEW", "env:OLD", "env:SECRET"]
enabled = false
"""


def read(text: str, environ: Mapping[str, str] = ENVIRON) -> Settings:
    return read_configuration(text, source="test", context=Context(environ=environ, providers=["shipstream"]))


def table() -> EndpointTable:
    return EndpointTable(read(ROTATING).endpoints, now=lambda: 0.0)


@pytest.mark.parametrize("token", ["the-new-one", "the-old-one"])
def test_each_token_opens(token: str) -> None:
    """While one replaces the other, a provider may use either."""
    assert table().endpoint_of(f"/webhooks/rotating/{token}") is not None


@pytest.mark.parametrize("path", ["rotating", "rotating/", "rotating/wrong", "rotating/the-new-one/the-old-one"])
def test_nothing_else_opens(path: str) -> None:
    """Two tokens make neither a third nor a path without one."""
    assert table().endpoint_of(f"/webhooks/{path}") is None


@pytest.mark.parametrize(
    "path", ["rotating/the-new-one", "rotating/the-old-one", "rotating/wrong", "open", "open/x", "off", "nobody", ""]
)
def test_a_path_costs_as_many_comparisons_as_any_other(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Two digests of 32 bytes are compared, for that is the most that an enabled endpoint has."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def observed(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr("ingest.endpoints.hmac.compare_digest", observed)
    table().endpoint_of(f"/webhooks/{path}")
    assert compared == [(32, 32), (32, 32)]


def test_deliveries_of_ours_use_the_newest() -> None:
    """`dropstream send` goes where a provider is to go from now on."""
    endpoint = read(ROTATING).endpoints["rotating"]
    assert delivery_url("http://h", "rotating", endpoint) == URL("http://h/webhooks/rotating/the-new-one")


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("[]", "lists no token; leave it out where the path is to have none"),
        ('["env:A", "env:NEW", "file:/no/such"]', "the environment has no A; set it, or name another source; "),
        ('["env:NEW", 7]', "a secret is a reference: env:NAME or file:PATH"),
        ('"the-token-itself"', "a secret is a reference: env:NAME or file:PATH, never the secret itself"),
    ],
)
def test_a_wrong_list_is_refused_whole(token: str, fault: str) -> None:
    """Every fault of the list is told under its key, and no token."""
    text = f'[endpoints.a]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\ntoken = {token}'
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    (told,) = caught.value.faults
    assert told.startswith(f"endpoints.a.token: {fault}")
    assert "itself" not in told.removesuffix("the secret itself")
    assert "the-new-one" not in told
