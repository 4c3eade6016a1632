"""The record of topic `acts`: what a person did from the console or the command line, and who came in or was refused.

An act has two records with one `id`: `begun` is written before anything is done, `done` or `failed` behind it. So one
that has a beginning and no end was cut off, and its `run` says where to look. A login is one record, `done` or
`refused`. A record holds names, ids and counts: no secret, nothing of a delivery's body, no message of an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Self

import orjson
from pydantic import Field, TypeAdapter

from schemas.event_attributes import Rfc3339
from schemas.records import Record

NAME_CHARACTERS_MAX = 200
# As many as can be selected in the console at once.
DELIVERIES_MAX = 200


class _GrowingWords(StrEnum):
    """Words that a newer version may add to: one that is not among them is read as it is, and is no member."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str) or not value:
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return word


class ActKind(_GrowingWords):
    """What was done; more words may come."""

    LOGIN = "login"
    UNMASK = "unmask"
    REDRIVE = "redrive"
    REPLAY = "replay"
    REPLAY_DRY_RUN = "replay_dry_run"
    SEND = "send"
    RECONCILE = "reconcile"
    DISMISS = "dismiss"
    SET_OFFSETS = "set_offsets"
    APPLY_TOPICS = "apply_topics"
    MIGRATE_TOPICS = "migrate_topics"


class ActStage(_GrowingWords):
    """How far the act is; more words may come."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"  # The person was not let in.


class KnownBy(_GrowingWords):
    """How the program knows who the person is; more words may come."""

    TOKEN = "token"  # noqa: S105 a word, no token
    SHARED_TOKEN = "shared_token"  # noqa: S105 as above
    PROXY = "proxy"
    NO_LOGIN = "no_login"
    OPERATING_SYSTEM = "operating_system"
    VARIABLE = "variable"
    NOBODY = "nobody"


Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that a person did, or tried: when, who, from where, and what it concerned."""

    id: Annotated[
        str,
        Field(
            description="The same in all records of one act.",
            pattern=r"^act-[0-9TZ]{1,32}-[0-9a-f]{1,16}$",
            examples=["act-20260521T143211Z-3fa9c1"],
        ),
    ]
    at: Annotated[Rfc3339, Field(description="When this stage was reached, UTC, microseconds.")]
    act: Annotated[
        ActKind,
        Field(
            description="What was done: `login`; `unmask`, personal data of a delivery were shown; `redrive`; "
            "`replay`; `replay_dry_run`; `send`, a sample; `reconcile`; `dismiss`, a gap; `set_offsets`, of a group; "
            "`apply_topics`; `migrate_topics`. More words may come.",
            examples=["redrive"],
        ),
    ]
    stage: Annotated[
        ActStage,
        Field(
            description="`begun`, before anything was done; `done`; `failed`; `refused`, the person was not let in. "
            "More words may come.",
            examples=["done"],
        ),
    ]
    who: Annotated[
        Name, Field(description="The person, as configured, as the proxy or the system says.", examples=["anna"])
    ]
    known_by: Annotated[
        KnownBy,
        Field(
            description="How it is known who that is: `token`, a person's own; `shared_token`, `console.token`; "
            "`proxy`, the company's login; `no_login`, a console on the loopback address; `operating_system`, the user "
            "of the command line; `variable`, DROPSTREAM_ACTOR; `nobody`, a wrong token. More words may come.",
            examples=["token"],
        ),
    ]
    place: Annotated[
        Name, Field(description="The address of the browser, or the name of the machine.", examples=["192.0.2.7"])
    ]
    session: Annotated[
        str | None,
        Field(description="The console's session, no secret; absent elsewhere.", examples=["session-3fa9c1"]),
    ] = None
    endpoint: Annotated[
        str | None, Field(description="The endpoint that it was for; absent for all.", examples=["shipstream-acme"])
    ] = None
    reason: Annotated[
        str | None,
        Field(description="Of a redrive, the reason that it was for; absent for all.", examples=["signature_invalid"]),
    ] = None
    run: Annotated[
        str | None,
        Field(
            description="The replay, redrive or reconciliation, as its events say it; absent elsewhere.",
            examples=["redrive-20260521T143211Z-3fa9c1"],
        ),
    ] = None
    span: Annotated[
        str | None,
        Field(
            description="From where to where, a slash between; absent elsewhere.",
            examples=["2026-05-21T14:00:00Z/2026-05-21T15:00:00Z"],
        ),
    ] = None
    deliveries: Annotated[
        tuple[str, ...] | None,
        Field(
            description="partition:offset in `raw` of each chosen delivery; absent where none was chosen by itself.",
            max_length=DELIVERIES_MAX,
            examples=[["3:1041"]],
        ),
    ] = None
    about: Annotated[
        str | None,
        Field(
            description="What else it concerned: a sample, a gap's ids, a group and its topic; absent elsewhere.",
            max_length=NAME_CHARACTERS_MAX,
            examples=["41-43"],
        ),
    ] = None
    counts: Annotated[
        Mapping[str, int] | None,
        Field(description="What came of it, by name; absent where nothing was counted.", examples=[{"events": 3}]),
    ] = None
    failure: Annotated[
        str | None,
        Field(description="The kind of error that ended it; absent elsewhere.", examples=["DropstreamError"]),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActFacts:
    """What an act concerns, before anybody does it; its fields are those of `Act`."""

    endpoint: str | None = None
    reason: str | None = None
    run: str | None = None
    span: str | None = None
    deliveries: tuple[str, ...] | None = None
    about: str | None = None
    counts: Mapping[str, int] | None = None


_NAMES = tuple(one.name for one in fields(Act))
_READER = TypeAdapter(Act)


def act_record(act: Act) -> Record:
    """The act as a record of `acts`, keyed by who did it; what is None is left out."""
    said = {name: value for name in _NAMES if (value := getattr(act, name)) is not None}
    return Record(topic="acts", key=act.who.encode("utf-8", "replace"), value=orjson.dumps(said))


def read_act(value: bytes | None) -> Act | None:
    """The act that a record of `acts` holds; None for whatever else another producer wrote there. Total."""
    try:
        return _READER.validate_json(value or b"")
    except ValueError:  # pydantic's ValidationError is one.
        return None
