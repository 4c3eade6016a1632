"""The tables of the programs that run all the time: ingress, processors, gap tracker, and the watch of `reconcile`."""

from typing import Annotated

from pydantic import (
    Field,
    model_validator,
)

from schemas.sections.values import (
    Compression,
    NetworkText,
    Section,
)

# Kafka's rule for an instance's name, with room for a worker's number.
_INSTANCE_PATTERN = r"^[A-Za-z0-9._-]{1,200}$"
# As long may the head of a request be on the fast path.
_HEAD_BYTES = 8_190


class IngestSettings(Section):
    """The HTTP ingress, its limits and its spool. The limits count per process: with `--workers`, per worker."""

    host: str = "0.0.0.0"  # noqa: S104 the ingress is there to be reached
    """The address on which webhooks are received."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The TCP port on which webhooks are received; 0 takes any free one."""
    admin_host: str = "127.0.0.1"
    """The address of the admin port; it has no login, so keep it inside your network."""
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    """The TCP port of `/livez`, `/readyz` and `/metrics` of the ingress; 0 takes any free one."""
    trusted_proxies: list[NetworkText] = []
    """Networks (CIDR) of your own proxies. `X-Forwarded-For` counts only from them, read from the right as far as they
    vouch; from anybody else the header is not read."""
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    """Open connections of one process; one more takes the place of the one that is idle for the longest time, or is
    answered 503 and closed where none is idle."""
    header_timeout_ms: Annotated[int, Field(ge=100)] = 10_000
    """How long a new connection may stay silent, and how long the headers of a request may take."""
    body_bytes_max: Annotated[int, Field(ge=1, le=67_108_864)] = 4_194_304
    """The largest body; a larger one is answered 413. The default takes the stock of 10,000 variants in one
    delivery. The topics' record limits follow it, so run `dropstream topics plan` and `apply` after raising it."""
    body_timeout_ms: Annotated[int, Field(ge=100)] = 20_000
    """How long a body may take to arrive; after it the answer is 408."""
    body_bytes_per_second_min: Annotated[int, Field(ge=0)] = 128
    """The slowest rate of a body, on average over each quarter of `body_timeout_ms`; a slower one is answered 408."""
    answer_timeout_ms: Annotated[int, Field(ge=100)] = 10_000
    """How long a client may leave its answer unread before the connection is closed."""
    keep_alive_ms: Annotated[int, Field(ge=100)] = 75_000
    """How long a connection may be idle after an answer. Keep it longer than the idle time of your load balancer (often
    60 s), so that the load balancer closes first."""
    in_flight_bytes_max: Annotated[int, Field(ge=1)] = 67_108_864
    """Bytes of headers and bodies that may be held in memory at one time; a request beyond it is answered 503. One
    endpoint may hold at most three times what is still free, so this must be above four thirds of `body_bytes_max`."""
    unread_bytes_max: Annotated[int, Field(ge=1_048_576)] = 16_777_216
    """Bytes that clients may make the process hold before a delivery is accepted: unfinished heads, bodies for which
    nobody has asked, requests behind the one that is handled. Beyond it the longest holder's connection is closed."""
    compression: Compression = "none"
    """How the ingress compresses what it writes to `raw`, batch by batch; whoever reads `raw` needs more memory then,
    for a small batch may hold much."""
    kafka_deadline_ms: Annotated[int, Field(ge=1)] = 1500
    """How long a delivery waits for Kafka's acknowledgement; then it goes to the spool."""
    producers: Annotated[int, Field(ge=1, le=32)] = 3
    """Kafka producers of one process. Each has partitions of its own, those with copies on the same nodes together, so
    that a node that hangs holds up few others. A producer has one connection to each node."""
    producer_hung_ms: Annotated[int, Field(ge=1_000)] = 10_000
    """A producer of which every used partition is overdue, and that had no acknowledgement for so long, is replaced;
    after six times as long where Kafka acknowledges what other producers write."""
    stop_grace_ms: Annotated[int, Field(ge=0)] = 10_000
    """After SIGTERM: how long requests that came may still be answered and flushed; the process ends sooner once all
    are durable."""
    spool_dir: str = "./spool"
    """Folder of the spool, on a local disk that outlives the process; a relative one is below the working directory."""
    spool_bytes_max: Annotated[int, Field(ge=0)] = 10_737_418_240
    """The most that one process may keep in its spool; 0 means that there is no spool."""

    @model_validator(mode="after")
    def _largest_body_is_taken(self) -> "IngestSettings":
        # One endpoint may hold three times what stays free, so three quarters of all: ingest/budgets.py.
        needed = -(-4 * (self.body_bytes_max + _HEAD_BYTES) // 3)
        if self.in_flight_bytes_max < needed:
            raise ValueError(
                f"in_flight_bytes_max must be at least {needed}: a body of body_bytes_max with its headers may hold "
                "three quarters of it, and would be refused for ever"
            )
        return self


class ProcessSettings(Section):
    """The consumer groups `deliver` and `sequence`."""

    admin_host: str = "127.0.0.1"
    """The address of the admin port; it has no login, so keep it inside your network."""
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8082
    """The TCP port of `/livez`, `/readyz` and `/metrics` of the processors; 0 takes any free one."""
    commit_interval_ms: Annotated[int, Field(ge=0, le=5_000)] = 40
    """How long records are gathered for one transaction: longer costs less CPU, shorter delivers earlier."""
    producers: Annotated[int, Field(ge=1, le=16)] = 2
    """How many transactions of a group a process has at once. One that Kafka is slow to take holds up the partitions in
    it, and no others; more of them cost more requests."""
    bytes_in_hand_max: Annotated[int, Field(ge=33_554_432)] = 268_435_456
    """The memory in bytes that a process takes for deliveries on their way, over what it takes when idle; a partition
    that has its share is not fetched from."""
    session_timeout_ms: Annotated[int, Field(ge=6_000)] = 10_000
    """A member that sends no heartbeat for so long loses its partitions to the other members of its group."""
    transaction_timeout_ms: Annotated[int, Field(ge=1_000)] = 9_000
    """Kafka aborts a transaction that takes longer. It must be below `session_timeout_ms`: then what a dead owner left
    open ends about when its partitions are given away."""
    instance_id: Annotated[str, Field(pattern=_INSTANCE_PATTERN)] | None = None
    """Static membership: a member of this name that comes back within its session finds its partitions, without a
    rebalance, and ends at once the transactions that it left open. Each process needs a name of its own; `--workers`
    appends the worker's number."""
    compression: Compression = "zstd"
    """How the processors compress what they write, batch by batch. Whatever the topics hold can be read."""
    records_per_round_max: Annotated[int, Field(ge=1)] = 2_000
    """The most records of a partition that one transaction takes."""
    endpoint_wait_seconds: Annotated[int, Field(ge=0, le=3_600)] = 60
    """How long after its receipt a delivery waits for an endpoint that the ingress knows and the processors do not yet;
    what came behind it in its partition waits, too. After that it is rejected as `endpoint_unknown`."""
    dedupe_window_hours: Annotated[int, Field(ge=1)] = 120
    """How long a delivery is remembered, so that the provider's retry of it adds nothing. The default is longer than
    the 104 hours for which ShipStream retries."""
    state_dir: str = "./state"
    """The folder for what the processors remember of deliveries, a cache that Kafka can restore at any time; the
    processes of one machine can share it. Empty: all is kept in memory, up to 268,435,456 bytes a partition."""
    dedupe_memory_keys_max: Annotated[int, Field(ge=0)] = 20_000
    """So many deliveries of a partition are remembered in memory, 256 bytes each; where there are more, all of them go
    to `state_dir`, 48 bytes each."""
    dedupe_endpoint_bytes_max: Annotated[int, Field(ge=1)] = 25_769_803_776
    """What the deliveries of one endpoint may take of a partition's memory of retries. Beyond it the oldest ones of
    this endpoint are forgotten early; an alert tells of it before. The default holds 1,000 a second for 120 h."""
    dedupe_partition_bytes_max: Annotated[int, Field(ge=1)] = 51_539_607_552
    """What the memory of retries of one partition may take. Beyond it the oldest deliveries of the endpoint that takes
    most are forgotten early; an alert tells of it before."""
    event_time_ahead_hours_max: Annotated[int, Field(ge=1, le=87_600)] = 24
    """A provider's time further ahead of the receipt is not believed, and the event has the time of receipt. The clock
    of a wrong time zone is ahead by 14 hours at most; believed once, a time of the next century would make every later
    event look late."""
    event_time_behind_days_max: Annotated[int, Field(ge=1, le=36_500)] = 1_825
    """A provider's time further behind the receipt is not believed. Retries come within days and samples are years old,
    but the year 1, 1970 and a date of zeros say that the provider knows no time."""
    redact_personal_data: bool = False
    """Whether addresses, names, e-mails and phones are redacted in events; an endpoint can say otherwise. `raw` and
    `rejected` always keep the delivery as it came."""

    @model_validator(mode="after")
    def _transaction_ends_first(self) -> "ProcessSettings":
        if self.transaction_timeout_ms >= self.session_timeout_ms:
            raise ValueError("transaction_timeout_ms must be below session_timeout_ms")
        return self


class SequenceSettings(Section):
    """The gap tracker of ShipStream's sequence ids."""

    grace_seconds: Annotated[int, Field(ge=0)] = 90
    """A hole in the sequence younger than this is not reported; it must not be longer than `lost_after_hours`."""
    lost_after_hours: Annotated[int, Field(ge=1, le=87_600)] = 110
    """After so long an open gap is reported as lost. The default is longer than the 104 hours for which ShipStream
    retries."""

    @model_validator(mode="after")
    def _reported_before_lost(self) -> "SequenceSettings":
        if self.grace_seconds > self.lost_after_hours * 3_600:
            raise ValueError("grace_seconds must not be longer than lost_after_hours")
        return self


class ReconcileSettings(Section):
    """`dropstream reconcile --watch`; whose provider is asked, and whether by itself, stands in `[endpoints.NAME]`."""

    admin_host: str = "127.0.0.1"
    """The address of the admin port; it has no login, so keep it inside your network."""
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 8084
    """The TCP port of `/livez`, `/readyz` and `/metrics` of the watch; 0 takes any free one."""
