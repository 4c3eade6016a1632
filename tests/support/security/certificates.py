"""Certificates for a test's own cluster, made with openssl: authorities, and what they sign."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_DAYS = "2"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, both PEM; `both` holds the two in one file, as Kafka wants them."""

    certificate: Path
    key: Path
    both: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates; `certificate` is what others must trust."""

    folder: Path
    certificate: Path
    key: Path

    def sign(self, name: str) -> Identity:
        """A new certificate whose subject is `CN=name`, good for 127.0.0.1."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        _openssl(
            *("req", "-x509", *_CURVE, "-days", _DAYS, "-subj", f"/CN={name}"),
            *("-CA", str(self.certificate), "-CAkey", str(self.key)),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", str(key), "-out", str(certificate)),
        )
        both = self.folder / f"{name}-both.pem"
        both.write_text(key.read_text() + certificate.read_text())
        return Identity(certificate, key, both)


def make_authority(folder: Path, name: str = "authority") -> Authority:
    """A new authority whose files lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    _openssl("req", "-x509", *_CURVE, "-days", _DAYS, "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
    return Authority(folder, certificate, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
