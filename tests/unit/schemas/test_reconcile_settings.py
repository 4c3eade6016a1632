"""How an endpoint says what is fetched from the provider's API, and with which key."""

import pytest

from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.sections.endpoints import EndpointSettings

ENDPOINT = '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n'
API = '[endpoints.acme.api]\nkey = "env:NOT_SET"\n'


def endpoint(text: str) -> EndpointSettings:
    context = Context(environ={"SECRET": "x"}, providers=["shipstream"])
    return read_configuration(text, source="here.toml", context=context).endpoints["acme"]


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        endpoint(text)
    return caught.value.faults


def test_without_a_word_it_is_offered() -> None:
    """Nothing is fetched by itself unless a person says so."""
    read = endpoint(ENDPOINT)
    assert (read.reconcile, read.api) == ("offer", None)


def test_the_key_of_the_api_is_not_looked_for_before_it_is_used() -> None:
    """The ingress and the processors read the same file without it."""
    read = endpoint(ENDPOINT + API + 'url = "https://acme.shipstream.app/"\nusername = "reconcile"\n').api
    assert read is not None
    assert (read.url, read.username, str(read.key)) == ("https://acme.shipstream.app", "reconcile", "env:NOT_SET")


def test_what_is_to_happen_by_itself_needs_an_api() -> None:
    """The fault comes at the start, not when a gap is lost."""
    assert faults_of(ENDPOINT + 'reconcile = "automatic"\n') == (
        'endpoints.acme: reconcile = "automatic" needs the table api with a key',
    )


@pytest.mark.parametrize(
    "url",
    ["http://acme.shipstream.app", "https://acme.shipstream.app/api", "https://user:pass@acme.example", "acme", ""],
)
def test_the_key_goes_nowhere_in_clear(url: str) -> None:
    """TLS, and no path or password that would be sent along; the fault does not repeat the address."""
    (fault,) = faults_of(ENDPOINT + API + f'url = "{url}"\n')
    words = "is an address such as https://acme.shipstream.app, without a path; the key goes there"
    assert fault == f"endpoints.acme.api.url: {words}"


def test_a_tunnel_on_this_machine_needs_no_tls() -> None:
    """As for ShipStream's management."""
    read = endpoint(ENDPOINT + API + 'url = "http://127.0.0.1:8443"\n').api
    assert read is not None
    assert read.url == "http://127.0.0.1:8443"


def test_a_key_in_clear_is_refused_without_repeating_it() -> None:
    """A secret is a reference."""
    (fault,) = faults_of(ENDPOINT + '[endpoints.acme.api]\nkey = "sesame"\n')
    assert "sesame" not in fault
    assert fault.startswith("endpoints.acme.api.key: ")
