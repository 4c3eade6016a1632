"""Where tokens come from, how long one is used, and that nothing says what a token or a secret is."""

import sys
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError

from ops.configuration import read_settings
from schemas.errors import ConfigurationError
from schemas.kafka.arguments import client_arguments
from schemas.sections.kafka import KafkaSettings
from tests.support.ports import free_ports
from tests.support.security.tokens import CLIENT_SECRET, token_server

LOGIN = '[kafka]\nsecurity_protocol = "SASL_PLAINTEXT"\nsasl_mechanism = "OAUTHBEARER"\n'


def read(lines: str, **environ: str) -> KafkaSettings:
    return read_settings(f"{LOGIN}{lines}\n[endpoints]\n", source="here.toml", environ=environ).kafka


def oidc(url: str, secret: str = CLIENT_SECRET) -> KafkaSettings:
    lines = f'token_provider = "oidc"\ntoken_url = "{url}"\ntoken_client_id = "one two"\n'
    return read(f'{lines}token_client_secret = "env:GIVEN"', GIVEN=secret)


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (
            "",
            (
                "kafka.token_provider: is missing, and sasl_mechanism = OAUTHBEARER needs one: oidc, aws-msk-iam, "
                "azure, or module:name of a callable of yours",
            ),
        ),
        (
            'token_provider = "oidc"',
            tuple(
                f"kafka.{key}: is missing, and token_provider = oidc cannot do without"
                for key in ("token_url", "token_client_id", "token_client_secret")
            ),
        ),
        (
            'token_provider = "aws-msk-iam"',
            ("kafka.aws_region: is missing, and token_provider = aws-msk-iam cannot do without",),
        ),
        (
            'token_provider = "azure"',
            ("kafka.token_scope: is missing, and token_provider = azure cannot do without",),
        ),
        (
            'token_provider = "gcp"',
            ("kafka.token_provider: is none of: oidc, aws-msk-iam, azure, or module:name of a callable of yours",),
        ),
        (
            'token_provider = "m:f"\ntoken_url = "http://login.example/token"',
            ("kafka.token_url: is an address such as https://login.example/oauth2/token",),
        ),
    ],
)
def test_what_a_provider_cannot_do_without_is_a_fault(lines: str, faults: tuple[str, ...]) -> None:
    """Each setting that is missing is told with its key, and a secret goes by TLS or stays on this machine."""
    with pytest.raises(ConfigurationError) as caught:
        read(lines)
    assert caught.value.faults == faults


@pytest.mark.parametrize(("provider", "more"), [("aws-msk-iam", 'aws_region = "r"'), ("azure", 'token_scope = "s"')])
def test_a_missing_extra_is_told_with_what_installs_it(
    provider: str, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names a cloud without its library is told the one line that brings it."""
    for module in ("aws_msk_iam_sasl_signer", "azure.identity"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError) as caught:
        read(f'token_provider = "{provider}"\n{more}')
    assert caught.value.faults == (
        f"{provider} needs the extra of that name; install it with: pip install 'dropstream[{provider}]'",
    )


async def test_a_token_is_used_until_it_is_old() -> None:
    """Many connections share one token; one whose life is over is not used again."""
    async with token_server(free_ports(1)) as server:
        long = client_arguments(oidc(server.url))["sasl_oauth_token_provider"]
        assert [await long.token() for _ in range(3)] == [server.given[0]] * 3
        server.good_for_s = 0
        short = client_arguments(oidc(f"{server.url}?short"))["sasl_oauth_token_provider"]
        assert [await short.token() for _ in range(2)] == server.given[1:]
        assert len(server.given) == 3


async def test_a_refusal_repeats_no_secret() -> None:
    """The error has the word of the specification, and nothing of what the server or we have said."""
    async with token_server(free_ports(1)) as server:
        provider = client_arguments(oidc(server.url, secret="something-else"))["sasl_oauth_token_provider"]
        with pytest.raises(KafkaError) as caught:
            await provider.token()
    assert (
        str(caught.value) == f"TokenError: no token from kafka.token_url {server.url}: it answers 401, invalid_client"
    )
    assert "something" not in repr(provider)


async def test_a_callable_of_ones_own_makes_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for each connection, and what it says when it fails stays with it."""
    (tmp_path / "my_tokens.py").write_text(
        "class Mine:\n"
        "    async def token(self):\n"
        "        return 'mine'\n"
        "class Broken:\n"
        "    async def token(self):\n"
        "        raise ValueError('the secret is 1234')\n"
        "class Empty:\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine, broken = (
        client_arguments(read(f'token_provider = "my_tokens:{name}"'))["sasl_oauth_token_provider"]
        for name in ("Mine", "Broken")
    )
    assert await mine.token() == "mine"
    with pytest.raises(KafkaError) as caught:
        await broken.token()
    assert str(caught.value) == "TokenError: no token from kafka.token_provider my_tokens:Broken: ValueError"
    for name, fault in (
        ("my_tokens:Empty", "my_tokens:Empty gives an object without `async def token(self) -> str`"),
        ("my_tokens:None_", "my_tokens:None_ cannot be used: module 'my_tokens' has no attribute 'None_'"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            read(f'token_provider = "{name}"')
        assert refused.value.faults == (fault,)
