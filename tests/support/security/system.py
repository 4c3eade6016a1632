"""dropstream on a secured Kafka, each of its programs with a login of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.settings import Settings
from tests.support.processing import ENDPOINTS, SECRET
from tests.support.security.secured import PASSWORD, SecuredKafka
from tests.support.security.tokens import CLIENT_SECRET
from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class SecuredSystem:
    """One configuration in `folder`; the login is a matter of the environment. `ports` are four in a row."""

    folder: Path
    kafka: SecuredKafka
    prefix: str
    ports: int
    logins: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def configure(self) -> None:
        """Writes the configuration."""
        (self.folder / "dropstream.toml").write_text(
            f'''
            [kafka]
            topic_prefix = "{self.prefix}"
            replication_factor = 1
            partitions = 2
            ca_file = "{self.kafka.authority.certificate}"
            [ingest]
            host = "127.0.0.1"
            port = {self.ports}
            admin_port = {self.ports + 1}
            [process]
            admin_port = {self.ports + 2}
            [sequence]
            grace_seconds = 1
            [console]
            port = {self.ports + 3}
            {ENDPOINTS}
            '''
        )

    def login_by_password(self, user: str, *, mechanism: str = "SCRAM-SHA-512") -> None:
        """`user` logs in by name and password."""
        if mechanism == "SCRAM-SHA-512":
            self.kafka.add_user(user)
        self._login(
            user,
            self.kafka.login,
            SECURITY_PROTOCOL="SASL_SSL",
            SASL_MECHANISM=mechanism,
            USERNAME=user,
            PASSWORD="env:KAFKA_PASSWORD",
        )

    def login_as_super(self, user: str) -> None:
        """`user` comes by TLS without a login, so as the super user."""
        self._login(user, self.kafka.tls, SECURITY_PROTOCOL="SSL")

    def login_by_certificate(self, user: str) -> None:
        """`user` shows a certificate; its files are the user's own, and can be replaced."""
        identity = self.kafka.authority.sign(user)
        self._login(
            user,
            self.kafka.mutual,
            SECURITY_PROTOCOL="SSL",
            CERT_FILE=str(identity.certificate),
            KEY_FILE=str(identity.key),
        )

    def login_by_token(self, user: str, url: str) -> None:
        """`user` is a client of the server of tokens."""
        self._login(
            user,
            self.kafka.login,
            SECURITY_PROTOCOL="SASL_SSL",
            SASL_MECHANISM="OAUTHBEARER",
            TOKEN_PROVIDER="oidc",
            TOKEN_URL=url,
            TOKEN_CLIENT_ID=user,
            TOKEN_CLIENT_SECRET="env:CLIENT_SECRET",
        )

    def _login(self, user: str, servers: str, **kafka: str) -> None:
        named = {"BOOTSTRAP_SERVERS": servers, **kafka}
        self.logins[user] = {
            "SECRET": SECRET.decode(),
            "KAFKA_PASSWORD": PASSWORD,
            "CLIENT_SECRET": CLIENT_SECRET,
            **{f"DROPSTREAM_KAFKA__{key}": value for key, value in named.items()},
        }

    def settings(self, user: str) -> Settings:
        """The settings of a program of this user."""
        from ops.configuration import read_settings, read_text  # noqa: PLC0415 tests that start programs need it not

        text = read_text(self.folder / "dropstream.toml")
        return read_settings(text, source="test", environ=self.logins[user])

    async def verb(self, user: str, *arguments: str) -> tuple[int, str]:
        """The exit code of a verb as this user, and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops", *arguments),
            cwd=self.folder,
            env={**os.environ, **self.logins[user]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()
