"""Tokens for the login OAUTHBEARER: who makes them, and what aiokafka asks for with each new connection.

`kafka.token_provider` is one of the words below, or `module:name` of a callable of yours that gives an object with
`async def token(self) -> str`. A token is never logged, and no error repeats what a provider or its server said.
"""

import asyncio
import functools
import importlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiokafka.abc import AbstractTokenProvider

from schemas.errors import ConfigurationError
from schemas.kafka.login.token_errors import TokenError, TokenRefusedError
from schemas.sections.kafka import KafkaSettings

# A token is renewed when this share of its life is over, so that none ends on its way to a broker.
_USED_SHARE = 0.8
_WITHIN_S = 15.0
_OFFERED = "token"


class TokenSource(Protocol):
    """What a provider of yours is to offer."""

    async def token(self) -> str:
        """A token that is good now."""


# Makes a token: the text, and for how many seconds it is good; 0 where that is not known.
_Make = Callable[[], Awaitable[tuple[str, float]]]


class _Tokens(AbstractTokenProvider):  # type: ignore[misc] # aiokafka ships no types
    """Asks `make` for a token, and gives the same one again until it is old."""

    def __init__(self, name: str, make: _Make) -> None:
        self._name = name
        self._make = make
        self._token = ""
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<tokens of {self._name}>"

    async def token(self) -> str:
        """A token for one connection.

        Raises:
            TokenError: there is none; says whose fault it is, never what was answered.
        """
        if time.monotonic() < self._until:
            return self._token
        try:
            async with asyncio.timeout(_WITHIN_S):
                self._token, good_for_s = await self._make()
        except TokenRefusedError as error:
            raise TokenError(f"no token from {self._name}: {error}") from None
        except Exception as error:  # noqa: BLE001 a stranger's code, whose words may hold the token
            raise TokenError(f"no token from {self._name}: {type(error).__name__}") from None
        self._until = time.monotonic() + _USED_SHARE * good_for_s
        return self._token


@functools.cache
def token_provider(kafka: KafkaSettings) -> AbstractTokenProvider:
    """What makes the tokens of these settings, one for all clients of this process.

    Raises:
        ConfigurationError: there is no such provider here; says what to install.
    """
    name = kafka.token_provider or ""
    if name == "oidc":
        # An HTTP client, which takes long to load, for the few who use it.
        from schemas.kafka.login.client_credentials import fetch_token  # noqa: PLC0415 as the line above says

        return _Tokens(f"kafka.token_url {kafka.token_url}", functools.partial(fetch_token, kafka))
    if name == "aws-msk-iam":
        return _Tokens("AWS", _aws(kafka.aws_region or ""))
    if name == "azure":
        return _Tokens("Azure", _azure(kafka.token_scope or ""))
    return _Tokens(f"kafka.token_provider {name}", _own(name))


def _aws(region: str) -> _Make:
    """https://github.com/aws/aws-msk-iam-sasl-signer-python: a signed address, good for 15 minutes."""
    signer: Any = _extra("aws_msk_iam_sasl_signer.MSKAuthTokenProvider", "aws-msk-iam")

    async def make() -> tuple[str, float]:
        # It reads files and may ask the instance's metadata, both without asyncio.
        token, ends_ms = await asyncio.to_thread(signer.generate_auth_token, region)
        return token, ends_ms / 1000 - time.time()

    return make


def _azure(scope: str) -> _Make:
    """https://learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential"""
    credential: Any = _extra("azure.identity", "azure").DefaultAzureCredential()

    async def make() -> tuple[str, float]:
        found = await asyncio.to_thread(credential.get_token, scope)
        return found.token, found.expires_on - time.time()

    return make


def _own(name: str) -> _Make:
    """The provider of the import path `module:name`."""
    module, _, attribute = name.partition(":")
    try:
        source: TokenSource = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # a stranger's code may fail in any way
        why = str(error) if isinstance(error, (ImportError, AttributeError)) else type(error).__name__
        raise ConfigurationError("kafka.token_provider", (f"{name} cannot be used: {why}",)) from error
    if not callable(getattr(source, _OFFERED, None)):
        fault = f"{name} gives an object without `async def token(self) -> str`"
        raise ConfigurationError("kafka.token_provider", (fault,))

    async def make() -> tuple[str, float]:
        return await source.token(), 0.0

    return make


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        fault = f"{extra} needs the extra of that name; install it with: pip install 'dropstream[{extra}]'"
        raise ConfigurationError("kafka.token_provider", (fault,)) from error
