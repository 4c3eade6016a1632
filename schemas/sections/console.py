"""The table `[console]`: the operations page, and who may open it."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from schemas.sections.values import (
    REFERENCE_PATTERN,
    NetworkText,
    Section,
    admin_address,
    base_url,
    is_loopback,
)

# A user's name or an e-mail address; no space, so that no person is called like what stands for several.
PERSON_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"
_HEADER_PATTERN = r"^[A-Za-z0-9-]{1,100}$"


class PersonSettings(Section):
    """A person who may open the console with a token of their own, by the name that topic `acts` has for them."""

    token: Annotated[str, Field(pattern=REFERENCE_PATTERN)]
    """A reference to the person's token, `env:NAME` or `file:PATH`; only the console resolves it."""
    role: Literal["see", "act"] = "see"
    """`see` shows everything but personal data, and does nothing; `act` does everything that the console can do."""


class ProxyLoginSettings(Section):
    """People whom your own proxy has logged in (OIDC in front, such as oauth2-proxy). Its headers are believed from
    `console.trusted_proxies` alone; from any other address a request with them is refused."""

    user_header: Annotated[str, Field(pattern=_HEADER_PATTERN)] = "X-Forwarded-User"
    """The header in which the proxy names the person."""
    groups_header: Annotated[str, Field(pattern=_HEADER_PATTERN)] = "X-Forwarded-Groups"
    """The header in which the proxy names the person's groups, with commas between."""
    act_groups: list[Annotated[str, Field(min_length=1)]] = []
    """Groups whose members may act; without one nobody may who comes by the proxy."""
    see_groups: list[Annotated[str, Field(min_length=1)]] = []
    """Groups whose members may see; without one everybody may whom the proxy lets through."""


class ConsoleSettings(Section):
    """The operations page, `dropstream console`."""

    host: str = "127.0.0.1"
    """The address on which the page is served; any but a loopback address needs `token`, `people` or `proxy_login`."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8083
    """The TCP port on which the page is served; 0 takes any free one."""
    token: Annotated[str, Field(pattern=REFERENCE_PATTERN)] | None = None
    """A reference to a token that several people share, `env:NAME` or `file:PATH`; only the console resolves it. Who
    has it may act, and `acts` does not know who of them did."""
    people: dict[Annotated[str, Field(pattern=PERSON_NAME_PATTERN)], PersonSettings] = {}
    """A table `[console.people.NAME]` for each person with a token of their own."""
    proxy_login: ProxyLoginSettings | None = None
    """A table `[console.proxy_login]` where your own proxy logs people in."""
    trusted_proxies: list[NetworkText] = []
    """Networks (CIDR) of your own proxies before the page; from them `X-Forwarded-For` says whose wrong tokens count. A
    proxy with TLS sets `X-Forwarded-Proto` to `https`; then the session's cookie goes over TLS alone."""
    names: list[str] = []
    """More host names by which a browser may call the console, as behind a proxy."""
    ingest_admin: list[Annotated[str, AfterValidator(admin_address)]] = []
    """Admin ports of the ingresses, as `host:port`; without them the one of `[ingest]`."""
    process_admin: list[Annotated[str, AfterValidator(admin_address)]] = []
    """Admin ports of the processors, as `host:port`; without them the one of `[process]`."""
    ingest_url: Annotated[str, AfterValidator(base_url)] | None = None
    """Where the console sends samples, such as `http://ingress:8080`; without it to the ingress on this machine."""
    records_per_partition: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    """The most records that the console reads of each partition when it starts."""

    @model_validator(mode="after")
    def _is_guarded(self) -> "ConsoleSettings":
        if self.proxy_login is not None and not self.trusted_proxies:
            raise ValueError("proxy_login needs trusted_proxies: from nobody else its headers are believed")
        if not self.needs_login and not is_loopback(self.host):
            raise ValueError(
                f'host = "{self.host}" can be reached from other machines, so it needs token = "env:NAME", '
                '[console.people.NAME] or [console.proxy_login]; without one leave host = "127.0.0.1"'
            )
        return self

    @property
    def needs_login(self) -> bool:
        """Whether a person must say who they are before they see anything."""
        return self.token is not None or bool(self.people) or self.proxy_login is not None
