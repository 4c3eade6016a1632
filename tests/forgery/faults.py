"""All faults in one table, each of its own name, with the kind of delivery that it is done to."""

from dataclasses import dataclass

from schemas.vocabulary import EVENT_TOPICS
from tests.forgery.changes import (
    attribute,
    body,
    header,
    header_less,
    header_more,
    headers_turned,
    json_bytes,
    key_order,
    no_body,
    payload,
    stock_figure,
    surplus,
    told,
)
from tests.forgery.forges import (
    ALTERED,
    DOUBLED,
    MISPLACED,
    UNEXPLAINED,
    Forge,
    alter,
    change_key,
    copy,
    double,
    double_all,
    lose,
    lose_all,
    lose_events,
    move_other,
    move_to_key,
    move_to_partition,
    move_to_topic,
    name_another,
    other_partition,
    other_time,
    replace_event,
    swap,
    unmarked_body,
)
from tests.forgery.outcomes import (
    FAR,
    from_nowhere,
    its_own,
    marked,
    names,
    names_the_end,
    nobody_s,
    noted,
    other_body_s,
    other_first,
    processed,
    rejected,
    the_first_s,
    valued,
)
from tests.forgery.stages import Role


@dataclass(frozen=True, slots=True)
class Fault:
    """`role` is the delivery that it is done to; `partners` how many of its kind must be in the stage."""

    name: str
    role: Role
    forge: Forge
    partners: int = 1

    def __str__(self) -> str:
        return self.name


_EVENTS = EVENT_TOPICS
OF_EVENTS = (
    Fault("one_event_lost", "events", lose(*_EVENTS)),
    Fault("events_lost", "events", lose_events),
    Fault("observation_lost", "events", lose("sequence")),
    Fault("everything_lost", "events", lose_all),
    Fault("event_doubled", "events", double(*_EVENTS)),
    Fault("altered_copy", "events", copy(other_time, ALTERED)),
    Fault("misplaced_copy", "events", copy(other_partition, MISPLACED)),
    Fault("everything_doubled", "events", double_all),
    Fault("observation_doubled", "events", double("sequence")),
    Fault("payload", "events", alter(told(payload), *_EVENTS)),
    Fault("stock_figure", "events", alter(told(stock_figure), "inventory")),
    Fault("time", "events", alter(attribute("time", "2026-01-01T00:00:00.000000Z"), *_EVENTS)),
    Fault("type", "events", alter(attribute("type", "dropstream.order.forged"), *_EVENTS)),
    Fault("id", "events", alter(attribute("id", "7d0a6f2e-0000-5000-8000-000000000000"), *_EVENTS)),
    Fault("signature", "events", alter(attribute("signature", "unsigned"), *_EVENTS)),
    Fault("delivery", "events", alter(attribute("delivery", "01900000-0000-7000-8000-000000000000"), *_EVENTS)),
    Fault("surplus_attribute", "events", alter(told(surplus), *_EVENTS)),
    Fault("header", "events", alter(header("endpoint", b"forged"), *_EVENTS)),
    Fault("header_more", "events", alter(header_more, *_EVENTS)),
    Fault("header_less", "events", alter(header_less, *_EVENTS)),
    Fault("headers_turned", "events", alter(headers_turned, *_EVENTS)),
    Fault("key_order", "events", alter(key_order, *_EVENTS)),
    Fault("json_bytes", "events", alter(json_bytes, *_EVENTS)),
    Fault("observation", "events", alter(attribute("sequence", 7), "sequence")),
    Fault("other_topic", "events", move_to_topic),
    Fault("other_partition", "events", move_to_partition),
    Fault("foreign_key", "events", move_to_key),
    Fault("foreign_key_in_place", "events", change_key),
    Fault("observation_moved", "events", move_other("sequence")),
    Fault("swapped", "events", swap(*_EVENTS), partners=2),
    Fault("observations_swapped", "events", swap("sequence"), partners=2),
    Fault("noted_instead_of_another", "events", noted(other_body_s, instead=True)),
    Fault("noted_beside_of_another", "events", noted(other_body_s, instead=False)),
    Fault("noted_instead_of_itself", "events", noted(its_own, instead=True)),
    Fault("noted_beside_of_itself", "events", noted(its_own, instead=False)),
    Fault("noted_instead_of_nobody", "events", noted(nobody_s, instead=True)),
    Fault("noted_beside_of_nobody", "events", noted(nobody_s, instead=False)),
    Fault("rejected_instead", "events", rejected(instead=True)),
    Fault("rejected_beside", "events", rejected(instead=False)),
    Fault("replaced", "events", replace_event),
    Fault("names_one_before", "events", name_another(before=True), partners=3),
    Fault("names_one_behind", "events", name_another(before=False), partners=3),
)
OF_RETRIES = (
    Fault("note_lost", "retry", lose("duplicates")),
    Fault("note_doubled", "retry", double("duplicates")),
    Fault("note_of_another_first", "retry", other_first),
    Fault("note_altered", "retry", alter(attribute("delivery", "01900000-0000-7000-8000-000000000000"), "duplicates")),
    Fault("note_moved", "retry", move_other("duplicates")),
    Fault("note_header_more", "retry", alter(header_more, "duplicates")),
    Fault("notes_swapped", "retry", swap("duplicates"), partners=2),
    Fault("retry_processed_instead", "retry", processed(DOUBLED, instead=True)),
    Fault("retry_processed_beside", "retry", processed(DOUBLED, instead=False)),
    Fault("retry_rejected_instead", "retry", rejected(instead=True)),
)
OF_REJECTED = (
    Fault("rejected_lost", "rejected", lose("rejected")),
    Fault("rejected_doubled", "rejected", double("rejected")),
    Fault("rejected_body", "rejected", alter(body, "rejected")),
    Fault("rejected_body_gone", "rejected", alter(no_body, "rejected")),
    Fault("rejected_reason", "rejected", alter(header("dropstream-reason", b"body_not_json"), "rejected")),
    Fault("rejected_header_less", "rejected", alter(headers_turned, "rejected")),
    Fault("rejected_moved", "rejected", move_other("rejected")),
    Fault("rejected_swapped", "rejected", swap("rejected"), partners=2),
    Fault("rejected_processed_instead", "rejected", processed(ALTERED, instead=True)),
    Fault("rejected_processed_beside", "rejected", processed(UNEXPLAINED, instead=False)),
    Fault("rejected_noted_instead", "rejected", noted(other_body_s, instead=True)),
    Fault("rejected_noted_beside", "rejected", noted(other_body_s, instead=False)),
)
OF_OTHER_BODIES = (
    Fault("other_body_noted_instead", "other_body", noted(the_first_s, instead=True)),
    Fault("other_body_noted_beside", "other_body", noted(the_first_s, instead=False)),
    Fault("other_body_lost", "other_body", lose_all),
    Fault("other_body_unmarked", "other_body", unmarked_body),
)
FROM_NOWHERE = (
    Fault("of_no_offset", "events", from_nowhere(names((0, FAR)))),
    Fault("of_no_partition", "events", from_nowhere(names((99, 0)))),
    Fault("behind_the_end", "events", from_nowhere(names_the_end)),
    Fault("no_json", "events", from_nowhere(valued(b"\xff not json"))),
    Fault("foreign_json", "events", from_nowhere(valued(b'{"hello":["world"]}'))),
    Fault("no_value", "events", from_nowhere(valued(None))),
    Fault("unknown_replay", "events", from_nowhere(marked)),
)
# Those by which a delivery is named, and all.
OF_DELIVERIES = (*OF_EVENTS, *OF_RETRIES, *OF_REJECTED, *OF_OTHER_BODIES)
FAULTS = (*OF_DELIVERIES, *FROM_NOWHERE)
