"""What the answer of `/readyz` tells a person who asks why."""

import pytest

from ops.service.unready import unready_reasons


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"ready": False, "deliver_connected": True, "deliver_partitions_opening": 0}, []),
        (
            {"deliver_connected": False, "deliver_kafka_silent_seconds": 12.4, "deliver_partitions_opening": 2},
            ["Kafka does not answer group deliver for 12 s"],
        ),
        ({"sequence_connected": False}, ["Kafka does not answer group sequence"]),
        ({"deliver_connected": True, "deliver_partitions_opening": 1}, ["group deliver opens 1 partition"]),
        ({"kafka_connected": False, "stopping": True}, ["it stops", "Kafka does not answer it"]),
        (
            {"workers": {"0": {"deliver_connected": False}, "1": {"deliver_connected": False}, "2": {}}},
            ["Kafka does not answer group deliver"],
        ),
        ({"kafka_connected": True, "addresses_unreadable": 0}, []),
        (
            {"addresses_unreadable": 2},
            [
                "allow_from refused 2 requests whose address nobody can read in the X-Forwarded-For of a trusted "
                "proxy; forwarded_for_unreadable in its log names the endpoint"
            ],
        ),
        (["no facts"], []),
    ],
)
def test_each_fact_that_is_not_well_is_said(facts: object, told: list[str]) -> None:
    """Doctor and console say the reason themselves, and do not send a person to a log for it."""
    assert unready_reasons(facts) == told
