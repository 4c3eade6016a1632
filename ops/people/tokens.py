"""Resolves the tokens of the people who may open the console."""

from collections.abc import Mapping

from ops.endpoints.secret_strength import is_weak_token
from ops.people.person import SHARED_TOKEN, Person, Role
from schemas.errors import ConfigurationError
from schemas.notes.acts import KnownBy
from schemas.secrets import Secret, resolve
from schemas.sections.console import ConsoleSettings
from schemas.sections.values import is_loopback


def resolve_tokens(console: ConsoleSettings, environ: Mapping[str, str], source: str) -> dict[Person, Secret]:
    """The token of every person who has one, and the one that several share.

    Raises:
        ConfigurationError: names every token that cannot be had, that two people have, or that can be guessed where
            other machines reach the page.
    """
    references = {
        Person(name, Role(one.role), KnownBy.TOKEN): (f"console.people.{name}.token", one.token)
        for name, one in console.people.items()
    }
    if console.token is not None:
        references[SHARED_TOKEN] = ("console.token", console.token)
    found: dict[Person, Secret] = {}
    faults: list[str] = []
    for person, (key, reference) in references.items():
        try:
            token = resolve(reference, environ)
        except ValueError as error:
            faults.append(f"{key}: {error}")
            continue
        if is_weak_token(token) and not is_loopback(console.host):
            faults.append(
                f"{key}: {token} is short enough to guess, and other machines reach {console.host}; "
                "make one with dropstream endpoints token"
            )
        if (other := next((one for one, known in found.items() if known.value == token.value), None)) is not None:
            faults.append(f"{key}: {token} is the same token as that of {other.name}; each needs its own")
        found[person] = token
    if faults:
        raise ConfigurationError(source, tuple(faults))
    return found
