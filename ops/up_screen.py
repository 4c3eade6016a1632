"""How `dropstream up` looks: a spinner while things start, the tour stop by stop, new events as they come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table
from rich.text import Text

from ops.broker.local import Broker, BrokerKind
from ops.broker.runtime import KAFKA_VERSION
from ops.screen import console, is_terminal, printable, say, show_table, write_line
from ops.tour import Arrival, Stop
from schemas.secrets import Secret
from schemas.settings import Settings

# Columns from which on there is room for a day and a delivery's id.
_WIDE = 120

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
    head = f"{stop.sample.contract}  POST /webhooks/{stop.endpoint}  {verdict}"
    if not is_terminal() or console().width >= _WIDE:
        head += f"  delivery {stop.answer.delivery_id}"
    say("")
    say(head, style="bold green" if good else "bold red")
    for arrival in stop.arrivals:
        show_arrival(arrival)
    if not good:
        expected = ", ".join(stop.sample.event_types)
        say(f"  expected {expected}; {len(stop.arrivals)} arrived", style="red")


def show_arrival(arrival: Arrival) -> None:
    """One event on one line: when, on which topic, what, of what, how sure; cut to fit a terminal, whole in a pipe."""
    event = arrival.event
    sure = f"{event['timequality']} · {event['signature']}"
    subject, figures = printable(event["subject"]), _figures(arrival)
    if not is_terminal():
        cells = (event["time"], f"{arrival.topic:<9}", f"{event['type']:<36}", subject, figures, sure)
        write_line("  " + "  ".join(cell for cell in cells if cell))
        return
    row = Table.grid(padding=(0, 2), expand=True)
    # Milliseconds are enough for an eye, and where it is narrow the day is today.
    time = f"  {event['time'][: -len('123Z')]}Z"
    columns = [(len(time), "cyan"), (9, "bold"), (18, ""), (None, "magenta"), (14, ""), (19, "dim")]
    if console().width < _WIDE:
        time = f"  {time.partition('T')[2]}"
        columns = [(len(time), "cyan"), *columns[1:-1]]
    for width, style in columns:
        row.add_column(width=width, ratio=None if width else 1, style=style, no_wrap=True, overflow="ellipsis")
    what = event["type"].rpartition(".")[2]
    row.add_row(*(time, arrival.topic, what, Text(subject), Text(figures), sure)[: len(columns)])
    console().print(row)


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
    rows = [
        (f"{base_url}/webhooks/{name}" + ("/TOKEN" if endpoint.token else ""), _place(endpoint.token))
        for name, endpoint in settings.endpoints.items()
    ]
    show_table(("webhook URL", "TOKEN is the text of"), rows)
    admin = f"http://{settings.ingest.admin_host}:{settings.ingest.admin_port}"
    say("Health and metrics", style="bold")
    say(f"  {admin}/readyz  {admin}/metrics")
    say(f"  the same of the processors on port {settings.process.admin_port}")
    say("In another terminal", style="bold")
    say(f"  export DROPSTREAM_CONFIG={_near(config)}")
    say("  .venv/bin/dropstream send --list")
    say("  .venv/bin/dropstream tail orders --from beginning")
    say("New events show here as they come; Ctrl-C ends everything.", style="bold")


def _place(token: Secret | None) -> str:
    """Where a person finds the token."""
    kind, _, name = token.reference.partition(":") if token else ("", "", "")
    return str(_near(Path(name))) if kind == "file" else f"${name}" if name else ""


def _near(path: Path) -> Path:
    """`path` from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
