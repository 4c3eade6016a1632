"""What a provider's API gives: pages of states, each with a place to go on from. A fifth provider is one more file.

A source asks and turns pages; it decides nothing. What a state means is said by the provider's `interpret_fetched`,
whether it is news by `ops.reconcile.known`, and `ops.reconcile.run` writes it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson

from schemas.errors import DropstreamError
from schemas.sections.endpoints import ApiSettings


class SourceError(DropstreamError):
    """The API cannot be asked, or answers what cannot be used; the text is for a person and holds no secret."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which something changed, both ends included, aware UTC; `end` None is the present."""

    begin: datetime
    end: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether the moment is in the window."""
        return self.begin <= moment and (self.end is None or moment <= self.end)


@dataclass(frozen=True, slots=True)
class FetchedState:
    """The state of one entity as the API told it; `body` is JSON for the provider's `interpret_fetched`.

    `asked_at` is when the request was sent, aware UTC: the state is at least as new.
    """

    body: bytes = field(repr=False)
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class StatePage:
    """The states of one page; `step` names what was asked for, in a word for people.

    A source that is given `cursor` goes on behind this page. `memory` is what the next run of this endpoint is to know,
    once this one has ended; `notes` are sentences for the person.
    """

    step: str
    cursor: str
    states: tuple[FetchedState, ...] = ()
    memory: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class StateSource(Protocol):
    """The API of one endpoint."""

    def pages(self, window: Window, *, cursor: str, memory: Mapping[str, str]) -> AsyncIterator[StatePage]:
        """The pages of everything that changed in the window, behind `cursor` ("" for the beginning).

        Raises:
            DropstreamError: the API cannot be asked, or answers what cannot be used.
        """


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """How to ask an API: `key` is the credential itself; `on_request` is told of every request and its outcome.

    `between_requests_s` takes the place of the time that the platform's own limit leaves between two requests.
    """

    settings: ApiSettings
    key: str = field(repr=False)
    now: Callable[[], datetime]
    on_request: Callable[[str], None]
    between_requests_s: float | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription at the provider: a topic that it sends to `url`, which may hold the endpoint's token.

    `active` is None where the API does not say it.
    """

    id: str
    topic: str
    url: str = field(repr=False)
    active: bool | None


class Subscriptions(Protocol):
    """The subscriptions at a provider that switches them off, and never on again by itself."""

    async def listed(self) -> list[Subscription]:
        """All that there are.

        Raises:
            DropstreamError: the API cannot be asked, or answers what cannot be used.
        """

    async def create(self, topic: str, url: str) -> None:
        """Makes one.

        Raises:
            DropstreamError: the API refuses, or nobody knows whether it is made.
        """

    async def delete(self, subscription: Subscription) -> None:
        """Deletes one.

        Raises:
            DropstreamError: the API refuses, or nobody knows whether it is deleted.
        """


@dataclass(frozen=True, slots=True)
class SourceKind:
    """What is known of a provider's API: how to open it, and what it cannot give back, in sentences.

    `url` is its address where there is one for all; empty where each merchant has one. `subscriptions` opens those that
    can be made anew; None where nothing is known of that.
    """

    provider: str
    url: str
    open: Callable[[ApiAccess], AbstractAsyncContextManager[StateSource]]
    gives: tuple[str, ...]
    cannot_give: tuple[str, ...]
    subscriptions: Callable[[ApiAccess], AbstractAsyncContextManager[Subscriptions]] | None = None


_ADDRESSES = frozenset({"address", "shipping_address", "billing_address"})


def without_address(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without where a customer lives: nothing rests on it, so it is not kept."""
    return {name: value for name, value in row.items() if name not in _ADDRESSES}


def state_body(kind: str, row: object, **more: object) -> bytes:
    """The body of a state: the same row gives the same bytes, in whatever order its fields came."""
    row_of = {} if row is None else {"row": row}
    return orjson.dumps({"fetched": kind, **row_of, **more}, option=orjson.OPT_SORT_KEYS)
