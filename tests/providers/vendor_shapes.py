"""Which fields the vendors' documents name, per topic, in our own words; the second judge of the mapping stands on it.

ShipStream: https://docs.shipstream.io/ref/topics.html. Dropea v2: https://public-api.dropea.com/dropshipper/openapi.json.
A shape is written as JSON would be: an object of fields, a list with one shape of its entries, `{"*": shape}` for a map
whose keys are SKUs; a leaf is the kind of its value, where a state is a word that the vendor's page names.
"""

from typing import Any

TEXT, NUMBER, DECIMAL, TIME, FLAG, STATE = "text", "number", "decimal", "time", "flag", "state"

Shape = Any


def _texts(names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), TEXT)


_COMMON = {"webhook_increment_id": NUMBER, "event_timestamp": TIME}
_ORDER = _texts("unique_id order_ref source")
_STOCK = {"*": {**_texts("sku external_id"), **dict.fromkeys(("product_id", "qty_adjust"), NUMBER)}}
_STOCK["*"] |= dict.fromkeys(("qty_available", "qty_advertised"), NUMBER)
_LINE = {
    **_texts("order_item_id order_item_ref sku name gift_message weight_unit unit_declared_value_currency"),
    **dict.fromkeys(("qty_ordered", "qty_backordered", "qty_canceled", "qty_processing", "qty_shipped"), DECIMAL),
    **dict.fromkeys(("weight", "row_weight", "unit_declared_value", "unit_customs_value"), DECIMAL),
    "allocation_data": [{"warehouse_id": TEXT, "qty_allocated": DECIMAL}],
}
_PACKED = {**_texts("order_item_id order_item_ref order_item_sku sku"), "quantity": DECIMAL}
_TRACKER = {
    **_texts("tracker_id status carrier tracking_number carrier_tracking_url signed_by"),
    **dict.fromkeys(("est_delivery_at", "original_est_delivery_at", "delivered_at"), TIME),
    "is_est_delivery_at_date": FLAG,
}
_PACKAGE = {
    **_texts("package_id status weight_unit"),
    "weight": DECIMAL,
    "items": [_PACKED],
    "tracking_numbers": [TEXT],
    "tracking_urls": [TEXT],
    "package_data": [_texts("order_item_id label value")],
    "packaging": [_texts("sku")],
}
_PARCELS = {"packages": [{**_PACKAGE, "tracker_id": "tracker"}], "trackers": [{**_TRACKER, "tracker_id": "tracker"}]}
_SHIPMENT = {
    **_texts(
        "unique_id warehouse_id status external_id order_ref order_unique_id order_id source order_status carrier"
    ),
    **_texts("service service_description shipping_method tpb_group_id scac store_code target_ship_date"),
    **_texts("total_weight_unit shipped_weight_unit"),
    **dict.fromkeys(("total_weight", "total_qty", "total_item_weight", "shipped_weight"), DECIMAL),
    **dict.fromkeys(("created_at", "updated_at", "packed_at", "shipped_at", "delivered_at"), TIME),
    **_PARCELS,
}
_OF_ORDER = {
    "shipments": [{**_texts("unique_id warehouse_id carrier service"), "status": TEXT, "trackers": [_TRACKER]}]
}
_STATES = {**_texts("old_status status"), "old_state": STATE, "state": STATE}
_RECEIPT = {
    **_texts("delivery_type increment_id sender_name sender_ref sender_ref_alt merchant_ref merchant_status"),
    "delivery_id": NUMBER,
}
_PRODUCT = _texts("sku external_id")
_SERIAL = {
    **_texts("identifier sku warehouse_id old_status new_status old_availability new_availability old_location"),
    **_texts("new_location target_type target_id target_description package_id"),
    **dict.fromkeys(("serial_id", "product_id"), NUMBER),
    "created_at": TIME,
}
_TRACKED = {
    **_texts("tracker_id order_unique_id order_ref order_source shipment_unique_id warehouse_id carrier"),
    **_texts("tracking_number carrier_tracking_url old_status new_status"),
    "new_details": [{**_texts("status message location"), "timestamp": TIME}],
    "packages": [_PACKAGE],
}
_MANIFEST = {**_texts("warehouse_id carrier weight_unit"), "manifest_id": NUMBER, "weight": DECIMAL, "orders": [TEXT]}

_MESSAGES: dict[str, Shape] = {
    "order:created": {**_ORDER, "stock_adjustments": _STOCK, "items": [_LINE]},
    "order:canceled": {**_ORDER, "stock_adjustments": _STOCK, "shipments": [_texts("unique_id")]},
    "order:items_updated": {
        **_ORDER,
        "items_canceled": [{**_texts("sku order_item_id"), "qty_canceled": DECIMAL}],
        "items_remaining": [_LINE],
    },
    **dict.fromkeys(("order:holded", "order:completed", "order:address_validation_failed"), _ORDER),
    **{name: {**_ORDER, **_OF_ORDER} for name in ("order:shipped", "order:delivered", "order:shipments_updated")},
    "order:address_changed": {**_ORDER, **_STATES, "address": _texts("street city"), "update_method": TEXT},
    "order:status_changed": {**_ORDER, **_STATES},
    "order:shipping_options_changed": {
        **_ORDER,
        "status": TEXT,
        "state": STATE,
        "shipping_options": _texts("saturday"),
    },
    "inventory:adjusted": {"stock_adjustments": _STOCK},
    **dict.fromkeys(("product:created", "product:updated", "product:deleted"), _PRODUCT),
    "product:sku_changed": {**_PRODUCT, "old_sku": TEXT},
    **dict.fromkeys(("product_media:created", "product_media:updated", "product_media:deleted"), _PRODUCT),
    **{f"serial_number:{what}": _SERIAL for what in ("created", "updated", "checkin", "checkout")},
    **{
        f"delivery:{what}": _RECEIPT
        for what in ("created", "canceled", "accepted", "processed", "exception", "putaway")
    },
    "delivery:committed": {**_RECEIPT, "stock_adjustments": _STOCK},
    "delivery:status_changed": {**_RECEIPT, **_texts("old_status new_status old_state new_state")},
    **{
        name: {"unique_id": NUMBER}
        for name in ("delivery_label:created", "delivery_label:voided", "import:created", "import:completed")
    },
    **{
        f"shipment:{what}": {**_SHIPMENT, "items": [_PACKED]} for what in ("packed", "shipped", "delivered", "reverted")
    },
    "shipment:labels_voided": _SHIPMENT,
    **{f"package:{what}": _texts("package_id status") for what in ("packed", "manifested", "shipped", "delivered")},
    **{f"tracker:{what}": _TRACKED for what in ("updated", "delivered", "exception")},
    "track:created": _texts(
        "order_ref order_unique_id shipment_unique_id warehouse_id package_id source carrier service number url"
    ),
    **dict.fromkeys(("manifest:sealed", "manifest:loaded"), _MANIFEST),
}

_DROPEA_LINE = {
    **_texts("product_name variant_name sku variant_type external_name"),
    **dict.fromkeys(("variant_id", "quantity", "product_id", "ean"), NUMBER),
    **dict.fromkeys(("unit_price", "wholesale_price"), NUMBER),
}
_DROPEA_ORDER = {
    **_texts("status sub_status currency payment_method fulfillment_type carrier service_type external_order_id"),
    **_texts("tracking_number tracking_url"),
    **dict.fromkeys(("id", "store_id", "store_owner_id", "total_amount", "supplier_id"), NUMBER),
    **dict.fromkeys(("created_at", "updated_at", "confirmed_at", "processing_at", "delivered_at", "rejected_at"), TIME),
    "line_items": [_DROPEA_LINE],
    "shipping_address": _texts("full_name city postal_code country email phone_number"),
    "notes": [_texts("content type")],
    "tax_data_dropshipper": _texts("company_name vat_number address city"),
    "pack_ids": [NUMBER],
}
_DROPEA_ISSUE = {
    **_texts("tracking_number carrier type status resolution_status initial_carrier_description"),
    **dict.fromkeys(("id", "order_id"), NUMBER),
    **dict.fromkeys(("created_at", "updated_at", "resolved_at"), TIME),
    "is_active": FLAG,
}
_DROPEA_ENVELOPE = {"event_id": TEXT, "event_at": TIME, "resource_id": NUMBER}

# Per provider and topic, the shape of the whole body but for the topic's name itself.
BODIES: dict[str, dict[str, Shape]] = {
    "shipstream": {topic: {"message": {**shape, **_COMMON}} for topic, shape in _MESSAGES.items()},
    "dropea": {
        **{
            f"order.{what}": {**_DROPEA_ENVELOPE, "resource": _DROPEA_ORDER}
            for what in ("created", "status.changed", "cancelled")
        },
        **{
            f"issue.{what}": {**_DROPEA_ENVELOPE, "resource": _DROPEA_ISSUE}
            for what in ("created", "status.changed", "resolved")
        },
    },
}
