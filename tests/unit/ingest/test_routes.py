"""Which partitions of `raw` share a producer, and that nothing else is shared."""

from functools import partial

from aiokafka.errors import MessageSizeTooLargeError
from prometheus_client import CollectorRegistry

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport, Report
from ingest.kafka.publisher import Publisher
from ingest.kafka.route import deal_partitions
from ingest.metrics import IngestMetrics
from schemas.kafka.layout_watch import LayoutWatch
from schemas.kafka.partitions import partition_of
from tests.conftest import SettingsFactory
from tests.support.waiting import until
from tests.unit.ingest.spool.test_drain import HandSupervisor, numbered


def test_partitions_on_the_same_nodes_share_a_route() -> None:
    """With as many routes as sets of nodes, a node that hangs is in two routes of three, and none of the third."""
    replicas = {0: {1, 2}, 1: {2, 3}, 2: {3, 1}, 3: {2, 1}, 4: {3, 2}, 5: {1, 3}}
    assert deal_partitions(replicas, routes=3) == {0: 0, 3: 0, 2: 1, 5: 1, 1: 2, 4: 2}


def test_partitions_of_one_set_of_nodes_are_spread_over_all_routes() -> None:
    """Where all partitions are on the same nodes, each route has its share."""
    replicas = {number: {1, 2, 3} for number in range(6)}
    assert deal_partitions(replicas, routes=4) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 0, 5: 1}


def test_more_routes_than_sets_are_dealt_to_the_sets() -> None:
    """No route has partitions of two sets of nodes, and none stays empty while a set has partitions left."""
    replicas = {0: {1}, 1: {2}, 2: {1}, 3: {2}, 4: {1}}
    assert deal_partitions(replicas, routes=5) == {0: 0, 2: 2, 4: 4, 1: 1, 3: 3}


def test_more_sets_than_routes_are_dealt_to_the_routes() -> None:
    """Sets of nodes share routes then, all partitions of a set the same one."""
    replicas = {0: {1}, 1: {2}, 2: {3}, 3: {1}, 4: {2}, 5: {3}}
    assert deal_partitions(replicas, routes=2) == {0: 0, 3: 0, 1: 1, 4: 1, 2: 0, 5: 0}


def test_one_route_has_all_partitions() -> None:
    """One producer is enough for every partition."""
    assert deal_partitions({0: {1}, 1: {2}}, routes=1) == {0: 0, 1: 0}


async def test_a_route_that_is_replaced_loses_nothing_of_the_others(settings: SettingsFactory) -> None:
    """What the other routes' clients have stays with them and is reported written; their partitions never pause."""
    mine, metrics = settings(bootstrap_servers="127.0.0.1:1"), IngestMetrics(CollectorRegistry())
    layout = LayoutWatch(mine)
    supervisors = [HandSupervisor(mine, layout=layout, metrics=metrics) for _ in range(2)]
    publisher = Publisher(mine.ingest, supervisors=supervisors, layout=layout, metrics=metrics)
    publisher.start()
    reports: dict[str, Report] = {}
    # By murmur2 they are in partitions 1 and 0, which are on one node: so the routes have one each.
    for endpoint in ("acme", "e0"):
        reservation = Reservation(ByteBudget(1_000))
        assert publisher.publish(numbered(1, endpoint), reservation, partial(reports.__setitem__, endpoint))
    await until(lambda: all(one.clients[0].sent for one in supervisors))
    of_acme, of_e0 = (supervisors[partition_of(key, 2)] for key in (b"acme", b"e0"))
    of_acme.clients[0].sent[0][1].set_exception(MessageSizeTooLargeError())
    await until(lambda: of_acme.reasons == ["refused"])
    assert publisher.takes(b"e0")
    of_e0.clients[0].sent[0][1].set_result(None)
    await until(lambda: len(reports) == 2)
    assert reports == {"acme": DeliveryReport.REFUSED, "e0": DeliveryReport.WRITTEN}
    assert (of_e0.reasons, len(of_e0.clients), len(of_acme.clients)) == ([], 1, 2)
    await until(lambda: publisher.takes(b"acme"))
    await publisher.stop(within_s=0)
