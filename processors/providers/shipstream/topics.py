"""Every documented topic of ShipStream in one table: what it says, of which entity, and in which domains.

Vendor page: https://docs.shipstream.io/ref/topics.html.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from processors.deliver.fields import first_id, text, text_id
from processors.deliver.provider import Message
from schemas.vocabulary import Domain, OrderStatus

_CATALOG, _INCIDENT, _INVENTORY = Domain.CATALOG, Domain.INCIDENT, Domain.INVENTORY
_ORDER, _OTHER = Domain.ORDER, Domain.OTHER

# Where a message names its entity; of several, the first that holds an id.
OWN_ID = ("unique_id",)
_OF_ORDER = ("order_unique_id",)
_SKU = ("sku",)
DELIVERY_ID = ("delivery_id",)
# What an id in such a field counts; one in `unique_id` counts what the topic is about.
_KINDS = {
    "order_unique_id": "order",
    "shipment_unique_id": "shipment",
    "delivery_id": "delivery",
    "manifest_id": "manifest",
    "package_id": "package",
    "tracker_id": "tracker",
    "sku": "sku",
}
_RESOURCE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ANY = (*OWN_ID, *_OF_ORDER, "shipment_unique_id", *DELIVERY_ID, "manifest_id", "package_id", "tracker_id", *_SKU)


@dataclass(frozen=True, slots=True)
class ShipstreamTopic:
    """What a topic means: its name in our words, where the entity's id stands, the domains it has facts for.

    `status` is the order's, where the topic alone states it; `voids` where its numbers are void from now on.
    """

    what: str
    entity: tuple[str, ...]
    domains: tuple[Domain, ...]
    status: OrderStatus | None = None
    voids: bool = False


UNKNOWN = ShipstreamTopic("unknown_event", _ANY, (_OTHER,))
TOPICS: Mapping[str, ShipstreamTopic] = {
    "order:created": ShipstreamTopic("created", OWN_ID, (_ORDER, _INVENTORY), OrderStatus.PENDING),
    "order:canceled": ShipstreamTopic("cancelled", OWN_ID, (_ORDER, _INVENTORY), OrderStatus.CANCELLED),
    "order:items_updated": ShipstreamTopic("items_updated", OWN_ID, (_ORDER,)),
    "order:holded": ShipstreamTopic("held", OWN_ID, (_ORDER,), OrderStatus.ON_HOLD),
    # Not the end of the order: packed and labelled, see `statuses`.
    "order:completed": ShipstreamTopic("completed", OWN_ID, (_ORDER,), OrderStatus.PACKED),
    "order:shipped": ShipstreamTopic("shipped", OWN_ID, (_ORDER,), OrderStatus.SHIPPED),
    "order:delivered": ShipstreamTopic("delivered", OWN_ID, (_ORDER,), OrderStatus.DELIVERED),
    "order:address_validation_failed": ShipstreamTopic("address_validation_failed", OWN_ID, (_ORDER,)),
    "order:address_changed": ShipstreamTopic("address_changed", OWN_ID, (_ORDER,)),
    "order:status_changed": ShipstreamTopic("status_changed", OWN_ID, (_ORDER,)),
    "order:shipments_updated": ShipstreamTopic("shipments_updated", OWN_ID, (_ORDER,)),
    "order:shipping_options_changed": ShipstreamTopic("shipping_options_changed", OWN_ID, (_ORDER,)),
    "shipment:packed": ShipstreamTopic("shipment_packed", _OF_ORDER, (_ORDER,)),
    "shipment:shipped": ShipstreamTopic("shipment_shipped", _OF_ORDER, (_ORDER,)),
    "shipment:delivered": ShipstreamTopic("shipment_delivered", _OF_ORDER, (_ORDER,)),
    "shipment:reverted": ShipstreamTopic("shipment_reverted", _OF_ORDER, (_ORDER,), voids=True),
    "shipment:labels_voided": ShipstreamTopic("shipment_labels_voided", _OF_ORDER, (_ORDER,), voids=True),
    "tracker:updated": ShipstreamTopic("tracker_updated", _OF_ORDER, (_ORDER,)),
    "tracker:delivered": ShipstreamTopic("tracker_delivered", _OF_ORDER, (_ORDER,)),
    "tracker:exception": ShipstreamTopic("tracker_exception", _OF_ORDER, (_ORDER, _INCIDENT)),
    "track:created": ShipstreamTopic("track_created", _OF_ORDER, (_ORDER,)),
    "inventory:adjusted": ShipstreamTopic("adjusted", _SKU, (_INVENTORY,)),
    "product:created": ShipstreamTopic("product_created", _SKU, (_CATALOG,)),
    "product:updated": ShipstreamTopic("product_updated", _SKU, (_CATALOG,)),
    "product:deleted": ShipstreamTopic("product_deleted", _SKU, (_CATALOG,)),
    "product:sku_changed": ShipstreamTopic("product_sku_changed", _SKU, (_CATALOG,)),
    "product_media:created": ShipstreamTopic("product_media_created", _SKU, (_CATALOG,)),
    "product_media:updated": ShipstreamTopic("product_media_updated", _SKU, (_CATALOG,)),
    "product_media:deleted": ShipstreamTopic("product_media_deleted", _SKU, (_CATALOG,)),
    # One unit's way through the warehouse, without the SKU's figures: an inventory event would state nothing.
    "serial_number:created": ShipstreamTopic("serial_number_created", _SKU, (_OTHER,)),
    "serial_number:updated": ShipstreamTopic("serial_number_updated", _SKU, (_OTHER,)),
    "serial_number:checkin": ShipstreamTopic("serial_number_checked_in", _SKU, (_OTHER,)),
    "serial_number:checkout": ShipstreamTopic("serial_number_checked_out", _SKU, (_OTHER,)),
    "delivery:created": ShipstreamTopic("delivery_created", DELIVERY_ID, (_OTHER,)),
    "delivery:canceled": ShipstreamTopic("delivery_cancelled", DELIVERY_ID, (_OTHER,)),
    "delivery:accepted": ShipstreamTopic("delivery_accepted", DELIVERY_ID, (_OTHER,)),
    "delivery:processed": ShipstreamTopic("delivery_processed", DELIVERY_ID, (_OTHER,)),
    "delivery:exception": ShipstreamTopic("delivery_exception", DELIVERY_ID, (_INCIDENT, _OTHER)),
    "delivery:putaway": ShipstreamTopic("delivery_put_away", DELIVERY_ID, (_OTHER,)),
    "delivery:committed": ShipstreamTopic("delivery_committed", DELIVERY_ID, (_INVENTORY, _OTHER)),
    "delivery:status_changed": ShipstreamTopic("delivery_status_changed", DELIVERY_ID, (_OTHER,)),
    "delivery_label:created": ShipstreamTopic("delivery_label_created", OWN_ID, (_OTHER,)),
    "delivery_label:voided": ShipstreamTopic("delivery_label_voided", OWN_ID, (_OTHER,)),
    "import:created": ShipstreamTopic("import_created", OWN_ID, (_OTHER,)),
    "import:completed": ShipstreamTopic("import_completed", OWN_ID, (_OTHER,)),
    # A package's message names no order.
    "package:packed": ShipstreamTopic("package_packed", ("package_id",), (_OTHER,)),
    "package:manifested": ShipstreamTopic("package_manifested", ("package_id",), (_OTHER,)),
    "package:shipped": ShipstreamTopic("package_shipped", ("package_id",), (_OTHER,)),
    "package:delivered": ShipstreamTopic("package_delivered", ("package_id",), (_OTHER,)),
    "manifest:sealed": ShipstreamTopic("manifest_sealed", ("manifest_id",), (_OTHER,)),
    "manifest:loaded": ShipstreamTopic("manifest_loaded", ("manifest_id",), (_OTHER,)),
    # Vendor code answers it (github.com/ShipStream/sample-nodejs-connector); its message is documented nowhere.
    "test:ping": ShipstreamTopic("ping", (), (_OTHER,)),
}


def entity_id_of(topic: ShipstreamTopic, fields: Mapping[str, Any]) -> str | None:
    """The id of what the topic is about; None where the message names none."""
    return first_id(*[fields.get(name) for name in topic.entity])


def entity_kind_of(topic: ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> str | None:
    """What the entity's id counts: deliveries, labels, imports, packages and manifests each count from 1."""
    name = next((name for name in topic.entity if text_id(fields.get(name)) is not None), None)
    if name is None:
        return None
    if name == "unique_id":
        # An id of the resource that the topic names before its colon.
        resource = (text(message.body.get("topic")) or "").partition(":")[0]
        return resource if _RESOURCE.fullmatch(resource) else "unknown"
    return _KINDS[name]
