"""Finds the person whom the company's own proxy has logged in, in the headers that it adds to each request.

Anybody can write such headers. So they are believed from the addresses of `console.trusted_proxies` alone; a request
that brings them from elsewhere is refused, and not taken for one without them. oauth2-proxy writes X-Forwarded-User and
X-Forwarded-Groups with `--pass-user-headers`, several groups with commas between:
https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview
"""

from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from ingest.client_address import read_address
from ops.people.person import Person, Role
from schemas.notes.acts import NAME_CHARACTERS_MAX, KnownBy
from schemas.sections.console import ProxyLoginSettings
from schemas.sections.values import Network

_GROUPS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class ProxyLogin:
    """What a proxy of the `trusted` networks says, read by `settings`."""

    settings: ProxyLoginSettings
    trusted: Collection[Network]

    def person_of(self, request: web.Request) -> Person | None:
        """The person whom the proxy names; None where the request has no such header.

        Raises:
            HTTPForbidden: the headers come from elsewhere or say nothing certain, or the person is in no group that
                may see.
        """
        names = request.headers.getall(self.settings.user_header, [])
        groups = request.headers.getall(self.settings.groups_header, [])
        if not names and not groups:
            return None
        if not self._trusts(request.remote or ""):
            raise web.HTTPForbidden(
                text=f"{self.settings.user_header} is believed from the addresses of console.trusted_proxies alone\n"
            )
        name = names[0].strip() if len(names) == 1 else ""
        if not name or not name.isprintable() or len(name) > NAME_CHARACTERS_MAX:
            raise web.HTTPForbidden(text=f"the proxy names no person, or several, in {self.settings.user_header}\n")
        named = {one.strip() for one in ",".join(groups).split(",", _GROUPS_MAX)}
        return Person(name, self._role(named), KnownBy.PROXY)

    def _role(self, groups: Collection[str]) -> Role:
        if any(one in groups for one in self.settings.act_groups):
            return Role.ACT
        if not self.settings.see_groups or any(one in groups for one in self.settings.see_groups):
            return Role.SEE
        raise web.HTTPForbidden(
            text="you are in no group of console.proxy_login.see_groups and console.proxy_login.act_groups\n"
        )

    def _trusts(self, peer: str) -> bool:
        address = read_address(peer)
        return address is not None and any(address in network for network in self.trusted)
