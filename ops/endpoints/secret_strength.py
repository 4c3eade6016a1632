"""Finds secrets that can be guessed, and files of secrets that every user of the machine can read; pure.

What a secret is for decides how long it must be: a signing secret is tried against a delivery that one has seen, a
token against an ingress that answers 404.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from schemas.secrets import Secret
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings

# 16 random bytes as base64 have 22 characters; below that a token can be guessed in earnest.
TOKEN_CHARACTERS_MIN = 22
# Providers choose some of them; 16 random letters and digits have 95 bits, and none that we know of gives fewer.
_SIGNING_CHARACTERS_MIN = 16


def weaknesses(endpoint: EndpointSettings) -> Iterator[str]:
    """A sentence for each secret and token of an endpoint that is short, or exposed, with what to do."""
    for one in endpoint.secrets:
        # A process that may not know it has no value here.
        if 0 < len(one.value.value) < _SIGNING_CHARACTERS_MIN:
            yield (
                f"secret {one.value} has {len(one.value.value)} characters and can be guessed; "
                f"use at least {_SIGNING_CHARACTERS_MIN}"
            )
        yield from _exposure("secret", one.value)
    for token in endpoint.token:
        yield from _token_weaknesses(token)


def other_weaknesses(
    settings: Settings, console_tokens: Mapping[str, Secret] = MappingProxyType({})
) -> Iterator[tuple[str, str]]:
    """The key of each weak or exposed secret that belongs to no endpoint, with a sentence.

    The tokens of the console, by their keys, are given where this process may know them.
    """
    if settings.kafka.password is not None:
        for sentence in _exposure("password", settings.kafka.password):
            yield "kafka.password", sentence
    for key, token in console_tokens.items():
        for sentence in _token_weaknesses(token):
            yield key, sentence


def _token_weaknesses(token: Secret) -> Iterator[str]:
    if is_weak_token(token):
        yield f"token {token} is short enough to guess; make one with dropstream endpoints token"
    yield from _exposure("token", token)


def is_weak_token(token: Secret) -> bool:
    """Whether the token is short enough to guess."""
    return len(token.value) < TOKEN_CHARACTERS_MIN


def _exposure(noun: str, secret: Secret) -> Iterator[str]:
    if secret.is_exposed:
        file = secret.reference.removeprefix("file:")
        yield f"{noun} {secret} can be read by every user of this machine; run chmod o-r {file}"
