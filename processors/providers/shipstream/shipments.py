"""The parcels of a shipment of ShipStream, out of its packages and trackers, each of which may lack the other."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from processors.deliver.fields import first_id, objects, text, text_id
from processors.providers.shipstream.items import items_of
from schemas.event_data import Item, Shipment

# What a shipment says of which nothing is known.
NO_SHIPMENT = Shipment()


def shipments_of(holder: Mapping[str, Any], *, is_void: bool) -> Iterator[Shipment]:
    """One for each tracking number of `holder`, and one for each package without a number; none that says nothing.

    A parcel of a freight carrier has no tracker: its numbers stand in its package alone.
    """
    packages, trackers = objects(holder.get("packages")), objects(holder.get("trackers"))
    if not trackers and (holder.keys() & {"tracking_number", "number"} or not packages):
        # The message is about one tracker, or about a shipment that is not packed yet; all that it holds is its own.
        trackers = [holder]
        own = [tuple(packages)]
    else:
        own = _packages_by_tracker(trackers, packages)
    void = is_void or _is_void(holder)
    for tracker, packed in zip(trackers, own, strict=True):
        shipment = Shipment(
            carrier=text(tracker.get("carrier")) or text(holder.get("carrier")),
            tracking_number=tracking_number_of(tracker),
            tracking_url=_tracker_url(tracker, packed),
            items=_packed_items(holder, packed, alone=len(trackers) == 1 and len(packed) == len(packages)),
            voided=True if void or _is_void(tracker) else None,
        )
        if shipment != NO_SHIPMENT:
            yield shipment
    tracked = {tracking_number_of(tracker) for tracker in trackers}
    joined = [id(package) for packed in own for package in packed]
    for package in packages:
        yield from _untracked(holder, package, tracked, is_joined=id(package) in joined, is_void=void)


def _packages_by_tracker(
    trackers: Sequence[Mapping[str, Any]], packages: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], ...]]:
    """The packages of each tracker: those that name its id, or its number."""
    own: list[tuple[Mapping[str, Any], ...]] = []
    for tracker in trackers:
        tracker_id, number = text_id(tracker.get("tracker_id")), tracking_number_of(tracker)
        own.append(
            tuple(
                package
                for package in packages
                if (tracker_id and text_id(package.get("tracker_id")) == tracker_id)
                or (number and number in _numbers(package))
            )
        )
    if len(trackers) == 1 and not own[0]:
        # The vendor's own example of a lone tracker holds a package that names another tracker id.
        own = [tuple(one for one in packages if text_id(one.get("tracker_id")) and not _numbers(one))]
    return own


def _untracked(
    holder: Mapping[str, Any],
    package: Mapping[str, Any],
    tracked: Collection[str | None],
    *,
    is_joined: bool,
    is_void: bool,
) -> Iterator[Shipment]:
    """The shipments of a package's numbers that no tracker has; one without a number where it has none at all."""
    for number in _numbers(package) or (() if is_joined else (None,)):
        if number is not None and number in tracked:
            continue
        shipment = Shipment(
            carrier=text(package.get("carrier")) or text(holder.get("carrier")),
            tracking_number=number,
            tracking_url=_package_url(package, number),
            items=items_of(package.get("items")),
            voided=True if is_void or _is_void(package) else None,
        )
        if shipment != NO_SHIPMENT:
            yield shipment


def tracking_number_of(tracker: Mapping[str, Any]) -> str | None:
    """The tracking number of a tracker, or of a message about one."""
    return first_id(tracker.get("tracking_number"), tracker.get("number"))


def _numbers(package: Mapping[str, Any]) -> tuple[str, ...]:
    """The tracking numbers of a package, in order and each once."""
    listed = package.get("tracking_numbers")
    found = [text_id(one) for one in listed] if isinstance(listed, list) else [text_id(listed)]
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _tracker_url(tracker: Mapping[str, Any], packages: Sequence[Mapping[str, Any]]) -> str | None:
    named = text(tracker.get("carrier_tracking_url")) or text(tracker.get("url"))
    found = [_package_url(package, tracking_number_of(tracker)) for package in packages]
    return named or next((url for url in found if url is not None), None)


def _package_url(package: Mapping[str, Any], number: str | None) -> str | None:
    """The address that stands in the place of the number in the package's list of addresses."""
    numbers, urls = package.get("tracking_numbers"), package.get("tracking_urls")
    if number is None or not isinstance(numbers, list) or not isinstance(urls, list):
        return None
    places = [place for place, one in enumerate(numbers[: len(urls)]) if text_id(one) == number]
    return text(urls[places[0]]) if places else None


def _is_void(thing: Mapping[str, Any]) -> bool:
    """Whether a shipment, package or tracker is void by its status: https://docs.shipstream.io/ref/enumeration.html."""
    return text(thing.get("status")) in {"voided", "canceled"}


def _packed_items(holder: Mapping[str, Any], packages: Sequence[Mapping[str, Any]], *, alone: bool) -> tuple[Item, ...]:
    """What is in these packages; all that the shipment holds where there are no others."""
    if alone and holder.get("items"):
        return items_of(holder.get("items"))
    return tuple([item for package in packages for item in items_of(package.get("items"))])
