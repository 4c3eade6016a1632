"""The lines of an order of ShipStream; the lines of its shipments and packages look alike."""

from collections.abc import Iterator, Mapping
from typing import Any

from processors.deliver.fields import decimal_text, objects, text_id
from schemas.event_data import Item


def items_of(entries: object) -> tuple[Item, ...]:
    """The lines of a list of them; what is no line of a list is left out."""
    return tuple(
        [
            Item(
                item_id=text_id(entry.get("order_item_id")),
                sku=text_id(entry.get("sku")),
                quantity=decimal_text(entry.get("qty_ordered")) or decimal_text(entry.get("quantity")),
            )
            for entry in objects(entries)
        ]
    )


def cancelled_items_of(fields: Mapping[str, Any]) -> Iterator[Item]:
    """The lines, or the part of a line, that `order:items_updated` says were cancelled just now.

    https://docs.shipstream.io/merchant-api/webhook
    """
    for entry in objects(fields.get("items_canceled")):
        yield Item(
            item_id=text_id(entry.get("order_item_id")),
            sku=text_id(entry.get("sku")),
            quantity=decimal_text(entry.get("qty_canceled")),
            cancelled=True,
        )
