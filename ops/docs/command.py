"""`dropstream schemas`: writes the schemas of the topics for the teams that read them, or into their registry."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import encode_basic_auth

from ops import screen
from ops.configuration import ConfigFile, load_settings
from ops.docs.export import PAGE, exported
from ops.docs.registration import LEVELS, PROMISED_LEVEL, SubjectResult, planned_subjects, register_all
from ops.docs.registry import RegistryAccess, RegistryError, checked_registry_url, is_in_clear, open_registry
from ops.event_loop import run
from ops.screen import say
from ops.verbs import verb_group
from schemas.errors import DropstreamError, UsageError
from schemas.secrets import resolve

app = verb_group("The JSON Schemas and the AsyncAPI document of everything that is written.")


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it is missing.")],
    *,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Where the page for people goes; DIR/{PAGE} if not said.")
    ] = None,
) -> None:
    """Writes the JSON Schemas, the AsyncAPI document and a page for people.

    Example: dropstream schemas export ./schemas
    """
    for name, text in exported().items():
        file = page if page is not None and name == PAGE else folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DropstreamError(f"cannot write {file}: {error.strerror or error}") from error
        say(str(file))


@app.command("register", no_args_is_help=True)
def register(
    *,
    registry: Annotated[str, typer.Option("--registry", metavar="URL", help="Its address, with the path if any.")],
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Login with a password.", show_default=False)] = None,
    password: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="env:NAME or file:PATH.", show_default=False)
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="A bearer token: env:NAME or file:PATH.", show_default=False)
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM of the authority of its certificate.", show_default=False)
    ] = None,
    compatibility: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help=f"Set on every subject; if not said, {PROMISED_LEVEL} where none is set."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    as_json: screen.AsJson = False,
    header: screen.Header = False,
    config: ConfigFile = None,
) -> None:
    """Registers the JSON Schemas in a Confluent-compatible schema registry; what is there already is left alone.

    Example: dropstream schemas register --registry https://registry.example:8081 --dry-run
    """
    if compatibility is not None and compatibility not in LEVELS:
        raise typer.BadParameter(f"is none of: {', '.join(LEVELS)}", param_hint="--compatibility")
    try:
        url = checked_registry_url(registry)
    except ValueError as error:
        raise typer.BadParameter(f"the address {error}", param_hint="--registry") from error
    access = RegistryAccess(url, _authorization(user, password, token), ca_file)
    if access.authorization is not None and is_in_clear(url):
        raise UsageError(f"{url} is not encrypted, so everybody on the way can read the login; use https://")
    settings = load_settings(config, signing_secrets=False, endpoints_required=False)
    results: list[SubjectResult] = []
    try:
        run(_register(access, settings.kafka.topic_prefix, compatibility, results, is_dry_run=dry_run))
    finally:  # What was registered before a failure is told too.
        _show(results, as_json=as_json, header=header)
    _fail_where_refused(results)


async def _register(
    access: RegistryAccess, prefix: str, level: str | None, results: list[SubjectResult], *, is_dry_run: bool
) -> None:
    """Adds to `results` as each subject is done, so that they are known whatever becomes of the next one.

    Raises:
        RegistryError: the registry cannot be asked; says how far it came.
    """
    plans = planned_subjects(prefix)
    try:
        async with open_registry(access) as registry:
            async for one in register_all(registry, plans, level=level, is_dry_run=is_dry_run):
                results.append(one)  # noqa: PERF401 a list that is extended at the end has nothing when one fails
    except RegistryError as error:
        if not results:
            raise
        rest = "nothing was changed" if is_dry_run else "what is registered stays; call it again for the rest"
        raise RegistryError(f"{error}\nIt failed after {len(results)} of {len(plans)} subjects: {rest}") from error


def _fail_where_refused(results: Iterable[SubjectResult]) -> None:
    if refused := [one.subject for one in results if one.outcome == "refused"]:
        raise DropstreamError(
            f"the registry refuses {', '.join(refused)} by its compatibility level; "
            f"{PROMISED_LEVEL} is what version 1 promises (--compatibility)"
        )


def _show(results: Sequence[SubjectResult], *, as_json: bool, header: bool) -> None:
    if not results:
        return
    rows = [(one.subject, one.outcome, one.version, one.schema_id, one.level, one.detail) for one in results]
    columns = ("subject", "outcome", "version", "id", "compatibility", "detail")
    screen.show_table(columns, rows, fold=("detail", "compatibility"), as_json=as_json, header=header)


def _authorization(user: str | None, password: str | None, token: str | None) -> str | None:
    """The value of the header `Authorization`; None without a login.

    Raises:
        UsageError: the options do not fit together, or a reference leads to no secret.
    """
    if token is not None and (user is not None or password is not None):
        raise UsageError("--token is a login of its own; leave --user and --password out")
    if (user is None) != (password is None):
        raise UsageError("--user and --password belong together")
    try:
        if token is not None:
            return f"Bearer {resolve(token, os.environ).value.decode()}"
        if user is not None and password is not None:
            return encode_basic_auth(user, resolve(password, os.environ).value.decode(), "utf-8")
    except ValueError as error:
        raise UsageError(f"the login at the registry: {error}") from error
    return None
