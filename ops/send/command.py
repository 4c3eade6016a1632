"""`dropstream send`: chooses body, signature and endpoint, sends, and shows the answers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from yarl import URL

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.endpoints.sequence import has_sequence, sequence_of
from ops.event_loop import run
from ops.screen import confirm
from ops.send.client import AnswerTally, IngressAnswer, Outgoing, deliver_many, own_base_url, sign
from ops.send.sequence import harm_of, newest_id
from ops.suggest import nearest_or_all
from processors.deliver.provider import Provider, Sample
from processors.providers import discover
from schemas.errors import DropstreamError, UsageError
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings

# More answers than these are counted, not listed.
_LISTED_MAX = 20


@dataclass(frozen=True, slots=True)
class SendTarget:
    """The endpoint to send to and the sample whose contract counts; `body` is a file's bytes, None for the sample's."""

    endpoint_name: str
    endpoint: EndpointSettings
    sample: Sample
    body: bytes | None

    def deliveries(self, first: int, count: int) -> Iterator[Outgoing]:
        """Signed deliveries, each made when it is about to be sent."""
        for number in range(first, first + count):
            at = datetime.now(UTC)
            body = self.sample.body(number, at) if self.body is None else self.body
            yield sign(body, self.endpoint, self.sample, at)


def send(
    what: Annotated[
        str | None, typer.Argument(metavar="WHAT", help="A sample's name, or a file with the exact body.")
    ] = None,
    *,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="Default: the first enabled one of the provider.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="How many deliveries.")] = 1,
    rate: Annotated[
        float | None, typer.Option(metavar="R", min=0.001, help="How many a second; else one by one.")
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="Number of the first sample; for ShipStream its sequence id, by default the next one, else 1.",
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="BASE", help="Default: the ingress on this machine.")] = None,
    sign_as: Annotated[str | None, typer.Option("--as", metavar="SAMPLE", help="Whose signature a file gets.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, whatever the sequence id does.")] = False,
    show_samples: Annotated[bool, typer.Option("--list", help="Show the samples and stop.")] = False,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Sends signed deliveries over HTTP and shows the answers.

    Exit code 1 unless every answer is 200. Example: dropstream send shipstream-order-created --count 3
    """
    providers = discover()
    if show_samples:
        _show_samples(providers, as_json=as_json, header=header)
        return
    if what is None:
        raise typer.BadParameter("name a sample (dropstream send --list) or a file", param_hint="WHAT")
    if url is not None and not _is_base_url(url):
        raise typer.BadParameter(f"{url!r} is not a base URL such as https://hooks.example", param_hint="--url")
    settings = load_settings(config)
    target = choose(what, settings, providers, endpoint_name=endpoint, sign_as=sign_as)
    number = _first_number(target, settings, providers[target.endpoint.provider], asked=first, yes=yes)
    _deliver(target, url or own_base_url(settings.ingest), first=number, count=count, rate_per_second=rate)


def _first_number(target: SendTarget, settings: Settings, provider: Provider, *, asked: int | None, yes: bool) -> int:
    """The number of the first sample; a person is asked where it would open a hole in a sequence, or restart it."""
    name, now = target.endpoint_name, datetime.now(UTC)
    # A file holds its own id.
    fixed = asked if target.body is None else sequence_of(provider, target.body, now)
    if not has_sequence(provider, now) or (target.body is not None and fixed is None):
        return asked or 1
    if fixed is not None and yes:
        return fixed
    try:
        newest = run(newest_id(settings, name))
    except DropstreamError as error:
        if fixed is None:
            raise DropstreamError(
                f"which sequence id is the next at {name} is not known: {error}\nName it with --first, and say --yes."
            ) from error
        _ask(f"where the sequence of {name} stands is not known ({error})", fixed)
        return fixed
    if fixed is None or newest is None:
        return fixed or (newest or 0) + 1
    if harm := harm_of(fixed, newest):
        _ask(f"the newest sequence id of {name} is {newest}; with {fixed}, {harm}", fixed)
    return fixed


def _ask(why: str, number: int) -> None:
    """Returns where a person agrees to send that id all the same; without a terminal the fault says why."""
    try:
        confirm(f"{why[0].upper()}{why[1:]}. Send id {number}?", yes=False)
    except UsageError as error:
        raise UsageError(f"{why}; to send it all the same, say --yes") from error


def _deliver(target: SendTarget, base_url: str, *, first: int, count: int, rate_per_second: float | None) -> None:
    tally = AnswerTally()
    with _answers_shown(tally, target.endpoint_name, count) as on_answer:
        deliveries = target.deliveries(first, count)
        run(
            deliver_many(
                base_url,
                target.endpoint_name,
                target.endpoint,
                deliveries=deliveries,
                rate_per_second=rate_per_second,
                on_answer=on_answer,
            )
        )
    refused = sum(answer.status != 200 for answer in tally.answers)
    if refused:
        raise DropstreamError(f"{refused} of {count} answers were not 200; the ingress's log and /metrics say why")


def choose(
    what: str,
    settings: Settings,
    providers: Mapping[str, Provider],
    *,
    endpoint_name: str | None,
    sign_as: str | None,
) -> SendTarget:
    """The target of `send`: a sample to an endpoint of its provider, or a file to the endpoint that is named.

    Raises:
        typer.BadParameter: names the nearest valid choice.
    """
    samples = {sample.name: (provider, sample) for provider in providers.values() for sample in provider.samples}
    if what in samples:
        provider, sample = samples[what]
        name = endpoint_name or _first_endpoint_of(provider.name, settings)
        return SendTarget(name, _endpoint(name, settings), sample, None)
    try:
        body = Path(what).read_bytes()
    except OSError as error:
        fault = f"no sample, and no file that can be read ({error.strerror}){nearest_or_all(what, samples)}"
        raise typer.BadParameter(fault, param_hint="WHAT") from error
    name = endpoint_name or _only_endpoint(settings)
    endpoint = _endpoint(name, settings)
    if sign_as is not None and sign_as not in samples:
        raise typer.BadParameter(f"no such sample{nearest_or_all(sign_as, samples)}", param_hint="--as")
    sample = samples[sign_as][1] if sign_as else providers[endpoint.provider].samples[0]
    return SendTarget(name, endpoint, sample, body)


def _is_base_url(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _endpoint(name: str, settings: Settings) -> EndpointSettings:
    if name not in settings.endpoints:
        raise typer.BadParameter(f"no such endpoint{nearest_or_all(name, settings.endpoints)}", param_hint="--endpoint")
    return settings.endpoints[name]


def _first_endpoint_of(provider: str, settings: Settings) -> str:
    for name, endpoint in settings.endpoints.items():
        if endpoint.provider == provider and endpoint.enabled:
            return name
    raise typer.BadParameter(f"no enabled endpoint has the provider {provider}; name one", param_hint="--endpoint")


def _only_endpoint(settings: Settings) -> str:
    if len(settings.endpoints) != 1:
        names = ", ".join(settings.endpoints)
        raise typer.BadParameter(f"a file needs one of: {names}", param_hint="--endpoint")
    return next(iter(settings.endpoints))


def _show_samples(providers: Mapping[str, Provider], *, as_json: bool, header: bool) -> None:
    screen.show_table(
        ("sample", "contract", "provider", "becomes"),
        (
            (sample.name, sample.contract, provider.name, ", ".join(dict.fromkeys(sample.event_types)))
            for provider in providers.values()
            for sample in provider.samples
        ),
        fold=("provider", "contract"),
        as_json=as_json,
        header=header,
    )


@contextmanager
def _answers_shown(tally: AnswerTally, endpoint_name: str, count: int) -> Iterator[Callable[[IngressAnswer], None]]:
    """Gives a function that counts and shows each answer; at the end shows the summary, also after a failure."""
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    drawn = count > _LISTED_MAX and screen.is_terminal()
    with Progress(*columns, console=screen.console(), disable=not drawn) as progress:
        task = progress.add_task(endpoint_name, total=count)

        def on_answer(answer: IngressAnswer) -> None:
            tally.answers.append(answer)
            progress.advance(task)
            if count <= _LISTED_MAX:
                _show_answer(answer, endpoint_name)

        try:
            yield on_answer
        finally:
            progress.stop()
            if count > 1 and tally.answers:
                _show_summary(tally)


def _show_answer(answer: IngressAnswer, endpoint_name: str) -> None:
    facts = (str(answer.status), answer.delivery_id or "-", f"{1000 * answer.seconds:.1f} ms", endpoint_name)
    screen.say(("  " if screen.is_terminal() else "\t").join(facts), style="green" if answer.status == 200 else "red")


def _show_summary(tally: AnswerTally) -> None:
    statuses = ", ".join(f"{status}: {count}" for status, count in tally.by_status().items())
    median, slowest = tally.milliseconds_at(0.5), tally.milliseconds_at(0.99)
    screen.say(f"{len(tally.answers)} answers ({statuses}), p50 {median:.1f} ms, p99 {slowest:.1f} ms")
