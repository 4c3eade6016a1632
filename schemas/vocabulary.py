"""The closed sets that events speak in: domains, statuses, qualities.

One vocabulary over all providers; a provider's own word always travels beside it, verbatim.
"""

from enum import StrEnum


class Domain(StrEnum):
    """What an event is about; the middle word of its type."""

    ORDER = "order"
    INVENTORY = "inventory"
    CATALOG = "catalog"
    INCIDENT = "incident"
    OTHER = "other"

    # By its text, as it is compared; `Enum` would hash its name, in Python.
    __hash__ = str.__hash__

    @property
    def topic(self) -> str:
        """The short name of the domain's topic."""
        return _TOPIC_OF[self]


_TOPIC_OF = {
    Domain.ORDER: "orders",
    Domain.INVENTORY: "inventory",
    Domain.CATALOG: "catalog",
    Domain.INCIDENT: "incidents",
    Domain.OTHER: "other",
}


# The topics that hold events, by their short names.
EVENT_TOPICS = tuple(_TOPIC_OF.values())


class OrderStatus(StrEnum):
    """Where an order stands; more words may come."""

    DRAFT = "draft"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    PACKED = "packed"  # Packed and labelled; nobody has fetched it yet.
    ON_HOLD = "on_hold"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    REFUSED = "refused"
    FAILED = "failed"


class IncidentStatus(StrEnum):
    """Where an incident stands; more words may come."""

    INFO = "info"
    PENDING = "pending"
    MANAGING = "managing"
    SOLUTION_SENT = "solution_sent"
    RESOLVED = "resolved"


class TimeQuality(StrEnum):
    """How far an event's `time` can be trusted."""

    EXACT = "exact"
    AMBIGUOUS = "ambiguous"  # The autumn hour that comes twice; resolved by the time of receipt.
    SHIFTED = "shifted"  # The spring hour that does not exist; moved forward.
    RECEIVED = "received"  # The body says no time, or one that cannot be.


class SignatureStatus(StrEnum):
    """What is known of the sender; more words may come."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    FETCHED = "fetched"  # Nobody sent it: `dropstream reconcile` asked the provider's API.
