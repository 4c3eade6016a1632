"""What a state means that was fetched from a provider's API; pure.

A row of an API is a state at a time, never the webhook that was lost. Its time is when the state last changed, by the
provider's word. A webhook of the same entity that happened later, but well before the API was asked, is part of the
state: then the state counts from that webhook on. A webhook from about when the API was asked, or later, may not be
part of it: then the state is overtaken.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from processors.deliver.provider import Interpretation, Message, Provider
from processors.deliver.times import Occurred
from schemas.delivery import Delivery
from schemas.fetched import FetchOrigin
from schemas.notes.rejections import Reason, Rejection
from schemas.vocabulary import TimeQuality

# For so long after a change an answer of an API may still lack it; and clocks differ. Amazon tells its clients to wait
# for two minutes: https://developer-docs.amazon.com/sp-api/lang-ja_JP/docs/get-orders-with-filtering-criteria
_SETTLED_AFTER = timedelta(minutes=2)
# Providers write whole seconds, and clocks differ: a webhook of just after the answer must not seem older than it.
_JUST_BEFORE = timedelta(seconds=5)


def interpret(provider: Provider, message: Message, origin: FetchOrigin | None) -> Interpretation | Rejection:
    """What the delivery means: a webhook (`origin` None), or a state that was fetched."""
    if origin is None:
        return provider.interpret(message)
    if provider.interpret_fetched is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "nothing is fetched from this provider")
    meaning = provider.interpret_fetched(message)
    known = origin.newest_known
    if isinstance(meaning, Rejection) or known is None or _may_be_newer(known, message.received_at):
        return meaning
    return replace(meaning, occurred=Occurred(max(known, meaning.occurred.at), meaning.occurred.quality))


def asked_about(message: Message) -> Occurred:
    """The time of a fetched state of which the API says no time: just before it was asked."""
    return Occurred(message.received_at - _JUST_BEFORE, TimeQuality.EXACT)


def is_overtaken(delivery: Delivery) -> bool:
    """Whether a webhook was known that may be newer than this fetched state."""
    known = delivery.fetched.newest_known if delivery.fetched else None
    return known is not None and _may_be_newer(known, delivery.received_at)


def _may_be_newer(known: datetime, asked_at: datetime) -> bool:
    return known > asked_at - _SETTLED_AFTER
