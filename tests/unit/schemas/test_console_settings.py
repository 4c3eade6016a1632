"""What a configuration may say of the console."""

import pytest

from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.sections.console import ConsoleSettings

CONTEXT = Context(environ={}, providers=())


def settings(table: str) -> ConsoleSettings:
    return read_configuration(f"[console]\n{table}\n[endpoints]\n", source="test", context=CONTEXT).console


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('host = "0.0.0.0"', 'console: host = "0.0.0.0" can be reached from other machines, so it needs token ='),
        ('host = "console.example"', 'console: host = "console.example" can be reached from other machines'),
        ('host = "::"', 'console: host = "::" can be reached from other machines'),
        (
            'host = "0.0.0.0"\n[console.proxy_login]',
            "console: proxy_login needs trusted_proxies: from nobody else its headers are believed",
        ),
        ('token = "plain"', "console.token: String should match pattern"),
        ('ingest_admin = ["8081"]', "console.ingest_admin[0]: is an address with its port, such as 127.0.0.1:8081"),
        ('process_admin = ["h:99999"]', "console.process_admin[0]: is an address with its port"),
        *(
            (f'ingest_url = "{wrong}"', "console.ingest_url: is a base such as http://ingress:8080")
            for wrong in ("ftp://x", "http://::1:8080", "http://h:99999", "http://h/", "http://user:secret@h")
        ),
        ("prot = 1", "console.prot: no such setting; nearest valid name: port"),
    ],
)
def test_faults_are_named(table: str, fault: str) -> None:
    """An address that others reach needs a token; a wrong address is told with a right one."""
    with pytest.raises(ConfigurationError) as told:
        settings(table)
    assert fault in str(told.value)


@pytest.mark.parametrize("url", ["http://ingress", "https://ingress.example:8443", "http://[::1]:8080"])
def test_samples_can_be_sent_elsewhere(url: str) -> None:
    """To a name or an address of either kind."""
    assert settings(f'ingest_url = "{url}"').ingest_url == url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_loopback_needs_no_token(host: str) -> None:
    """On every loopback address it runs without one; the token is not looked for before the console starts."""
    assert settings(f'host = "{host}"').token is None
    assert settings('host = "0.0.0.0"\ntoken = "env:NOT_SET"').token == "env:NOT_SET"
