"""Which delivery and which entity a body of Dropea is about, where both versions find it alike."""

import hashlib
import re

from processors.deliver.fields import text, text_id
from processors.deliver.provider import Fact, Message
from schemas.event_data import OtherData
from schemas.vocabulary import Domain

# PT, ES, IT today; bounded, for it becomes part of every id and key.
_MARKET = re.compile(r"[A-Za-z]{2,8}")
# What an id in such a field counts: orders and incidents each count from 1.
_ID_KINDS = {"order_id": "order", "incidence_id": "incident", "id": "unknown"}


def id_in_market(message: Message, identity: object) -> str | None:
    """`PT:14`: every market counts its own ids, so an id without its market names nothing."""
    market, entity_id = text(message.body.get("market")), text_id(identity)
    known = market is not None and entity_id is not None and _MARKET.fullmatch(market)
    return f"{market.upper()}:{entity_id}" if known and market else None


def digest_of(parts: tuple[str | None, ...], message: Message) -> str:
    """SHA-256 of what makes the delivery this one; of the whole body where a part is missing."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return f"sha256:{message.digest}"
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def unknown_fact(message: Message) -> Fact:
    """A body whose topic neither version documents: about the id that it names, in its market where it has one."""
    body = message.body
    in_market = id_in_market(message, body.get("resource_id"))
    own = next((name for name in _ID_KINDS if text_id(body.get(name)) is not None), None)
    entity_id = in_market or (text_id(body.get(own)) if own else None)
    kind = "resource" if in_market else _ID_KINDS.get(own or "")
    data = OtherData(entity_id=entity_id, entity_kind=kind, payload=message.payload)
    return Fact(Domain.OTHER, "unknown_event", entity_id, data, kind=kind)
