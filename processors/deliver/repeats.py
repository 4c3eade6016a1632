"""What a delivery is to the deliveries before it, by all the keys that its provider gives it.

`processors.deliver.dedupe` says it of one key. Here is decided which keys are asked, and what their answers mean:

- a delivery with an id of its own is a retry where this id came before with the same body;
- one with a `Twin` is a retry, too, where the twin came before with the same content;
- one that is known by its body alone is a retry only for a short time, and only while no other delivery of the same
  entity came between: stock 5, 0 and 5 again are three changes. What is then taken for a change may still be a retry
  that came late, so its events are marked `repeated`. docs/decisions.md has the figures of that choice.
"""

from collections.abc import Collection
from functools import partial

from processors.deliver.provider import Interpretation, Message
from processors.deliver.sightings import DedupeResult, Sighting, Sightings, newest
from schemas.delivery import Delivery
from schemas.fast_frozen import fast_frozen
from schemas.records import Position

# What the keys of our own begin with, beside those of the providers: of an entity's newest delivery, of one request.
LATEST = "latest "
COPY = "delivery "


@fast_frozen()
class Verdict:
    """What a delivery is: `kind` to those before it, `first_offset` that of its first try in its partition of `raw`.

    `id_key` is what its event ids stand on; `is_repeated` where an equal delivery came before that is not believed to
    be its first try. `sightings` are to be remembered once it is accepted.
    """

    kind: DedupeResult
    id_key: str
    first_offset: int
    is_repeated: bool = False
    sightings: tuple[Sighting, ...] = ()


def judge_repeat(
    delivery: Delivery, message: Message, meaning: Interpretation, position: Position, store: Sightings
) -> Verdict:
    """The verdict on a delivery of this meaning; `store` knows those before it, and is not changed."""
    ask = partial(
        store.judge,
        endpoint=delivery.endpoint,
        offset=position.offset,
        received_s=int(delivery.received_at.timestamp()),
    )
    own = ask(natural_key=meaning.natural_key, body=message.text)
    if meaning.body_only_s is not None:
        latest = [
            (name, ask(natural_key=name, body=meaning.natural_key.encode())) for name in sorted(_latest_names(meaning))
        ]
        # A copy of one request, which the ingress sent again, is no second request.
        copy = ask(natural_key=f"{COPY}{delivery.id}", body=message.text) if delivery.id else None
        return _judge_by_body(delivery, meaning, own, latest, copy)
    id_key = own.natural_key if own.kind is DedupeResult.BODY_DIFFERS else meaning.id_key or own.natural_key
    if own.kind is not DedupeResult.FIRST or meaning.twin is None:
        return Verdict(own.kind, id_key, own.first_offset, sightings=(own,))
    twin = ask(natural_key=meaning.twin.key, body=meaning.twin.content)
    if twin.kind is DedupeResult.RETRY:
        return Verdict(twin.kind, id_key, twin.first_offset)
    return Verdict(own.kind, id_key, own.first_offset, sightings=(own, twin))


def possible_keys(delivery: Delivery, meaning: Interpretation, other_body: str) -> Collection[str]:
    """Every key on which the ids of the delivery's events may stand; `other_body` is that of a differing body."""
    plain = [meaning.id_key or meaning.natural_key, other_body]
    if meaning.body_only_s is None:
        return plain
    return [*plain, *(_key_of_repeat(key, delivery) for key in (meaning.natural_key, other_body))]


def _judge_by_body(
    delivery: Delivery,
    meaning: Interpretation,
    own: Sighting,
    latest: Collection[tuple[str, Sighting]],
    copy: Sighting | None,
) -> Verdict:
    """The verdict where `own` is of the body, `latest` of each entity's newest delivery, `copy` of the request's id."""
    if copy is not None and copy.kind is DedupeResult.RETRY:
        return Verdict(DedupeResult.RETRY, own.natural_key, copy.first_offset)
    sightings = [own, *(newest(one, endpoint=delivery.endpoint, natural_key=name) for name, one in latest)]
    if copy is not None:
        sightings.append(copy)
    if own.kind is not DedupeResult.RETRY:
        return Verdict(own.kind, own.natural_key, own.first_offset, sightings=tuple(sightings))
    is_soon = own.age_s <= (meaning.body_only_s or 0)
    is_superseded = any(one.kind is DedupeResult.BODY_DIFFERS for _, one in latest)
    if is_soon and not is_superseded:
        return Verdict(DedupeResult.RETRY, own.natural_key, own.first_offset)
    key = _key_of_repeat(own.natural_key, delivery)
    return Verdict(DedupeResult.FIRST, key, own.first_offset, is_repeated=True, sightings=tuple(sightings))


def _key_of_repeat(natural_key: str, delivery: Delivery) -> str:
    """The key of a delivery whose body came before: the request's own id is all that tells it from the first."""
    return f"{natural_key}@{delivery.id or delivery.received_at.isoformat()}"


def _latest_names(meaning: Interpretation) -> set[str]:
    return {f"{LATEST}{fact.domain} {fact.kind or ''} {fact.entity_id}" for fact in meaning.facts if fact.entity_id}
