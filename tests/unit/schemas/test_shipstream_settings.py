"""The tables `[shipstream.NAME]`: read like every other, and their keys known to those who call alone."""

import pytest

from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.settings import ShipstreamSettings

GOOD = '[shipstream.acme]\nurl = "https://acme.example"\nusername = "api"\napi_key = "env:NOT_SET"\n'


def account(text: str) -> ShipstreamSettings:
    context = Context(environ={}, providers=["shipstream"], endpoints_required=False)
    return read_configuration(text, source="here.toml", context=context).shipstream["acme"]


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        account(text)
    return caught.value.faults


def test_a_key_is_not_looked_for_before_it_is_used() -> None:
    """The ingress reads the same file without the credentials of the API."""
    read = account(GOOD)
    assert (read.url, read.username) == ("https://acme.example/api/jsonrpc", "api")
    assert str(read.api_key) == "env:NOT_SET"
    assert (read.authentication, read.answer_timeout_ms) == ("basic", 30_000)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://acme.example/", "https://acme.example/api/jsonrpc"),
        ("https://acme.example:8443/api/jsonrpc", "https://acme.example:8443/api/jsonrpc"),
        ("http://127.0.0.1:99", "http://127.0.0.1:99/api/jsonrpc"),
        ("http://[::1]:99/", "http://[::1]:99/api/jsonrpc"),
    ],
)
def test_the_path_of_the_api_is_known(given: str, url: str) -> None:
    """The instance's address is enough; without TLS it is this machine only."""
    assert account(GOOD.replace("https://acme.example", given)).url == url


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("http://acme.example", "must begin with https://, for the API key goes there"),
        ("http://localhost.evil.example", "must begin with https://, for the API key goes there"),
        ("https://api:hidden@acme.example", "holds a user or a password; they belong in username and api_key"),
        ("https://acme.example/admin", "is no URL such as https://acme.shipstream.app"),
        ("https://acme.example?key=hidden", "is no URL such as https://acme.shipstream.app"),
        ("https://acme.example:99999", "is no URL such as https://acme.shipstream.app"),
        ("https://[acme", "is no URL such as https://acme.shipstream.app"),
        ("acme.shipstream.app", "is no URL such as https://acme.shipstream.app"),
    ],
)
def test_a_wrong_address_is_told_and_not_repeated(given: str, fault: str) -> None:
    """Credentials never go where nobody proved to be ShipStream, nor into an error."""
    assert faults_of(GOOD.replace("https://acme.example", given)) == (f"shipstream.acme.url: {fault}",)


def test_every_fault_is_told_at_once() -> None:
    """With its key, the nearest valid name, and never the secret that stands where a reference should."""
    text = '[shipstream.acme]\nurl = "https://a.example"\nusernme = "x"\napi_key = "tiger-lily"\nauthentication = "x"\n'
    faults = faults_of(text)
    assert faults == (
        "shipstream.acme.username: is missing",
        "shipstream.acme.api_key: a secret is a reference: env:NAME or file:PATH, never the secret itself",
        "shipstream.acme.authentication: Input should be 'basic' or 'session'",
        "shipstream.acme.usernme: no such setting; nearest valid name: username",
    )


def test_a_name_of_an_account_is_checked_like_an_endpoints() -> None:
    """It goes on the command line."""
    (fault,) = faults_of(GOOD.replace("shipstream.acme", "shipstream.Acme"))
    assert fault == "shipstream.Acme: an account's name must match ^[a-z0-9][a-z0-9._-]{0,62}$"
    assert faults_of(GOOD.replace('"api"', '"a:b"'))[0].startswith("shipstream.acme.username: ")
