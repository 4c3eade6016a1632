"""Dropea's words for how far an order or an incident has come."""

from schemas.vocabulary import IncidentStatus, OrderStatus

# Words are compared in lower case: version 1 writes them so, its GraphQL sister and version 2 in capitals.
_ORDER_STATUSES = {
    "draft": OrderStatus.DRAFT,
    "pending": OrderStatus.PENDING,
    "confirmed": OrderStatus.CONFIRMED,
    "preparing": OrderStatus.PROCESSING,
    "prepared": OrderStatus.PROCESSING,
    "processing": OrderStatus.PROCESSING,
    "transit": OrderStatus.SHIPPED,
    "shipping": OrderStatus.SHIPPED,
    "incidence": OrderStatus.ON_HOLD,  # On its way, and waiting for somebody to say how to go on.
    "delivered": OrderStatus.DELIVERED,
    "charged": OrderStatus.COMPLETED,
    "rejected": OrderStatus.REJECTED,
    "cancelled": OrderStatus.CANCELLED,
    "error": OrderStatus.FAILED,
    # The sub-status tells the step: FINISH alone says that the order is over, not how.
    "processing/packed": OrderStatus.PACKED,
    "processing/awaiting_pickup": OrderStatus.PACKED,
    "finish/delivered": OrderStatus.DELIVERED,
    "finish/paid": OrderStatus.COMPLETED,
    "finish/cancelled": OrderStatus.CANCELLED,
    "finish/refused": OrderStatus.REFUSED,  # By the customer; REJECTED is by the carrier.
    "finish/refused_lost_damaged": OrderStatus.REFUSED,
    "finish/lost_damaged": OrderStatus.FAILED,
    "error/rejected": OrderStatus.REJECTED,
}
_INCIDENT_STATUSES = {
    "info": IncidentStatus.INFO,
    "pending": IncidentStatus.PENDING,
    "client_managed": IncidentStatus.MANAGING,
    "managing_with_client": IncidentStatus.MANAGING,
    # One state, two spellings on one vendor page.
    "resolution_send": IncidentStatus.SOLUTION_SENT,
    "solution_send": IncidentStatus.SOLUTION_SENT,
    "resolved": IncidentStatus.RESOLVED,
}


def order_status_of(word: str | None) -> OrderStatus | None:
    """The order's status in our words; None where the word is unknown."""
    return _ORDER_STATUSES.get((word or "").lower())


def incident_status_of(word: str | None) -> IncidentStatus | None:
    """The incident's status in our words; None where the word is unknown."""
    return _INCIDENT_STATUSES.get((word or "").lower())
