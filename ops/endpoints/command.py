"""`dropstream endpoints`: lists the endpoints with secrets as references, checks them, and makes a token."""

import secrets
from datetime import UTC, datetime

from ops import screen
from ops.configuration import ConfigFile, configuration_file, load_settings, read_text
from ops.endpoints.add import add_endpoint
from ops.endpoints.check import find_problems
from ops.endpoints.renew import renew_subscriptions
from ops.endpoints.running import find_reload_problems
from ops.event_loop import run
from ops.verbs import verb_group
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.sections.endpoints import EndpointSettings

_TOKEN_BYTES = 32

app = verb_group("Shows and checks the configured endpoints; makes new ones.")
app.command("add", no_args_is_help=True)(add_endpoint)
app.command("renew", no_args_is_help=True)(renew_subscriptions)


@app.command("list")
def show_endpoints(*, as_json: screen.AsJson = False, header: screen.Header = False, config: ConfigFile = None) -> None:
    """Shows every endpoint, its token masked and its secrets as references.

    Example: dropstream endpoints list
    """
    settings = load_settings(config, signing_secrets=False)
    providers = discover()
    screen.show_table(
        ("endpoint", "provider", "path", "secrets", "signature", "enabled"),
        (
            (
                name,
                endpoint.provider,
                _masked_path(name, endpoint),
                ", ".join(str(one.value) for one in endpoint.secrets) or "-",
                endpoint.signature or providers[endpoint.provider].signature_policy,
                endpoint.enabled,
            )
            for name, endpoint in settings.endpoints.items()
        ),
        fold=("secrets", "signature", "provider"),
        as_json=as_json,
        header=header,
    )


@app.command("check")
def check_endpoints(
    *, as_json: screen.AsJson = False, header: screen.Header = False, config: ConfigFile = None
) -> None:
    """Names every problem, each with what to do; exit code 1 if one is an error. It asks the running services too.

    Example: dropstream endpoints check
    """
    settings = load_settings(config)
    file = configuration_file(config)
    problems = (
        *find_problems(settings, discover(), datetime.now(UTC)),
        *run(find_reload_problems(settings, str(file.absolute()), read_text(file))),
    )
    wrong = {problem.endpoint for problem in problems}
    fine = [(name, "ok", "") for name, one in settings.endpoints.items() if one.enabled and name not in wrong]
    screen.show_table(
        ("endpoint", "state", "what to do"),
        (*((one.endpoint, one.level, one.sentence) for one in problems), *fine),
        as_json=as_json,
        header=header,
    )
    errors = sum(problem.level == "error" for problem in problems)
    if errors:
        raise DropstreamError(f"{errors} of the problems above are errors; solve them before you process deliveries")


@app.command("token")
def make_token() -> None:
    """Prints a fresh unguessable token for an endpoint's path.

    Example: dropstream endpoints token > token.txt, then token = "file:token.txt"
    """
    screen.write_line(secrets.token_urlsafe(_TOKEN_BYTES))


def _masked_path(name: str, endpoint: EndpointSettings) -> str:
    return f"/webhooks/{name}" + ("/***" if endpoint.token else "")
