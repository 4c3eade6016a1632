"""TLS to the brokers: each new connection uses the certificate files as they are then, so that they can be replaced."""

import functools
import ssl
from dataclasses import dataclass
from pathlib import Path

from aiokafka.helpers import create_ssl_context

from schemas.late_log import LateLog

_log = LateLog()

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of `[kafka]`; each may be None, as the settings of the same name say."""

    ca_file: str | None
    cert_file: str | None
    key_file: str | None

    def stamp(self) -> _Stamp:
        """What changes when a file is written anew, or another one takes its place.

        Raises:
            OSError: a file is not there.
        """
        found = [Path(one).stat() for one in (self.ca_file, self.cert_file, self.key_file) if one]
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)

    def load(self) -> ssl.SSLContext:
        """A context of these files as they are now.

        Raises:
            OSError: one cannot be read, or holds no certificate or key, or the key is of another certificate.
        """
        context: ssl.SSLContext = create_ssl_context(
            cafile=self.ca_file, certfile=self.cert_file, keyfile=self.key_file
        )
        context.sslobject_class = _OneSidedClose
        return context


class RenewedContext(ssl.SSLContext):
    """A context for `create_connection` whose every connection uses the files as they are then.

    Files that cannot be used, as while they are replaced, leave those before them in use; the log says so once.
    """

    def __new__(cls, _files: TlsFiles) -> "RenewedContext":
        """A context for clients."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: TlsFiles) -> None:
        """Reads the files.

        Raises:
            OSError: as `TlsFiles.load`.
        """
        self._files = files
        self._stamp = files.stamp()
        self._loaded = files.load()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """What asyncio and uvloop call once for each connection."""
        self._renew()
        return self._loaded.wrap_bio(
            incoming, outgoing, server_side=server_side, server_hostname=server_hostname, session=session
        )

    def _renew(self) -> None:
        """Reads the files where they have changed."""
        try:
            stamp = self._files.stamp()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._loaded = self._files.load()
        except OSError as error:
            _log.warning("certificates_not_renewed", error=error.strerror or str(error))
        else:
            _log.info("certificates_renewed")


class _OneSidedClose(ssl.SSLObject):
    """Does not wait for the broker's half of the goodbye, which TLS allows and Kafka's records do not need.

    uvloop 0.22 waits for it up to 30 s where an answer is on its way (once in 60 closed consumers here), and aiokafka
    waits for uvloop.
    """

    def unwrap(self) -> None:
        try:
            super().unwrap()
        except ssl.SSLWantReadError:
            return


@functools.cache
def tls_context(files: TlsFiles) -> RenewedContext:
    """The context of these files, one for all clients of this process.

    Raises:
        OSError: as `TlsFiles.load`.
    """
    return RenewedContext(files)
