"""How `dropstream up` looks: a spinner while things start, the tour stop by stop, new events as they come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from ops.broker.local import Broker, BrokerKind
from ops.broker.runtime import KAFKA_VERSION
from ops.screen import console, is_terminal, printable, say, write_line
from ops.tour import Arrival, Stop
from schemas.settings import Settings

_TIME_WIDTH = len("2026-05-21T14:32:11.000000Z")


Progress = Callable[[str], None]


@contextmanager
def spinner() -> Iterator[Progress]:
    """A way to tell what is being done: beside one spinner on a terminal, as a line each in a pipe."""
    if not is_terminal():
        yield lambda what: write_line(f"{what} ...")
        return
    with console().status("") as status:
        yield status.update


def show_ground(broker: Broker) -> None:
    """Which broker all this runs on."""
    kinds = {
        BrokerKind.GIVEN: f"Kafka at {broker.bootstrap_servers}, as $KAFKA says.",
        BrokerKind.KAFKA: f"Apache Kafka {KAFKA_VERSION} at {broker.bootstrap_servers}.",
        BrokerKind.MEMORY: broker.limits,
    }
    say(kinds[broker.kind], style="yellow" if broker.kind is BrokerKind.MEMORY else "green")


def show_stop(stop: Stop) -> None:
    """One delivery and the events that it became."""
    good = stop.complete
    verdict = f"{stop.answer.status} in {stop.answer.seconds * 1000:.0f} ms"
    head = f"{stop.sample.contract}  POST /webhooks/{stop.endpoint}  {verdict}  delivery {stop.answer.delivery_id}"
    say("")
    say(head, style="bold green" if good else "bold red")
    for arrival in stop.arrivals:
        show_arrival(arrival)
    if not good:
        expected = ", ".join(stop.sample.event_types)
        say(f"  expected {expected}; {len(stop.arrivals)} arrived", style="red")


def show_arrival(arrival: Arrival) -> None:
    """One event on one line: when, what, of what, how sure."""
    event = arrival.event
    cells = (
        ("  ", ""),
        (f"{event['time']:<{_TIME_WIDTH}}  ", "cyan"),
        (f"{arrival.topic:<9}  ", "bold"),
        (f"{event['type'].removeprefix('dropstream.'):<28}  ", ""),
        (printable(event["subject"])[:36], "magenta"),
        (f"  {_figures(arrival)}", ""),
        (f"  {event['timequality']} · {event['signature']}", "dim"),
    )
    if is_terminal():
        console().print(Text.assemble(*cells), soft_wrap=True)
    else:
        write_line("".join(text for text, _ in cells).rstrip())


def _figures(arrival: Arrival) -> str:
    """What a person wants to know first: a status, or how many there are."""
    data = arrival.event["data"]
    if status := data.get("status"):
        return printable(str(status))
    if available := data.get("available"):
        return f"available {printable(str(available))}"
    return ""


def show_invitation(settings: Settings, base_url: str, config: Path) -> None:
    """What can be done now: the URLs to give to a provider, and the verbs to try."""
    say("")
    say("Webhook URLs", style="bold")
    for name, endpoint in settings.endpoints.items():
        # The token itself is a secret; its place is told instead.
        token = f"/<token in {endpoint.token.reference.partition(':')[2]}>" if endpoint.token else ""
        say(f"  {base_url}/webhooks/{name}{token}")
    admin = f"http://{settings.ingest.admin_host}:{settings.ingest.admin_port}"
    say(f"Health and metrics: {admin}/readyz  {admin}/metrics  and process on :{settings.process.admin_port}")
    say(f"In another terminal: export DROPSTREAM_CONFIG={config}")
    say("  .venv/bin/dropstream send --list    .venv/bin/dropstream tail orders --from beginning")
    say("New events show here as they come; Ctrl-C ends everything.", style="bold")
