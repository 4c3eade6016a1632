"""Who somebody is, how that is known, and what they may do."""

import getpass
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.errors import UsageError
from schemas.notes.acts import NAME_CHARACTERS_MAX, KnownBy

ACTOR_VARIABLE = "DROPSTREAM_ACTOR"


class Role(StrEnum):
    """What a person may do: `see`, or `act` too."""

    SEE = "see"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Person:
    """A person by `name`, or those who share one."""

    name: str
    role: Role
    known_by: KnownBy


SHARED_TOKEN = Person("shared token", Role.ACT, KnownBy.SHARED_TOKEN)
# On the loopback address of a machine everybody who has that machine may.
NO_LOGIN = Person("no login", Role.ACT, KnownBy.NO_LOGIN)
NOBODY = Person("unknown", Role.SEE, KnownBy.NOBODY)


@dataclass(frozen=True, slots=True)
class Asker:
    """A person at a place: the address of the browser with its session, or the name of the machine."""

    person: Person
    place: str
    session: str | None = None

    def __str__(self) -> str:
        named = {KnownBy.TOKEN, KnownBy.PROXY}
        names = [self.person.name] if self.person.known_by in named or self.session is None else []
        return f"{', '.join([*names, *filter(None, [self.session])])} at {self.place}"


def own_name(environ: Mapping[str, str]) -> str:
    """The name of whoever calls a verb: DROPSTREAM_ACTOR, else the user of the operating system.

    A user without a name, as in a container, is `uid-NUMBER`.

    Raises:
        UsageError: the variable holds what cannot be shown.
    """
    if said := environ.get(ACTOR_VARIABLE, "").strip():
        if not said.isprintable():
            raise UsageError(f"{ACTOR_VARIABLE} holds characters that cannot be shown; a name is wanted")
        return said[:NAME_CHARACTERS_MAX]
    return _system_user()


def _system_user() -> str:
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd  # noqa: PLC0415 it does not exist on Windows

    # Not getpass, which believes LOGNAME and USER first: whoever says so shall do it by the variable above.
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid-{os.geteuid()}"


def caller(environ: Mapping[str, str]) -> Asker:
    """Whoever calls a verb, at this machine.

    Raises:
        UsageError: DROPSTREAM_ACTOR holds what cannot be shown.
    """
    known_by = KnownBy.VARIABLE if environ.get(ACTOR_VARIABLE, "").strip() else KnownBy.OPERATING_SYSTEM
    place = socket.gethostname()[:NAME_CHARACTERS_MAX] or "unknown"
    return Asker(Person(own_name(environ), Role.ACT, known_by), place)
