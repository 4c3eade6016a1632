"""Where the cluster is and how to be let in: what no client could use is a fault, told before one is made."""

from pathlib import Path

import pytest

from ops.configuration import read_settings
from schemas.errors import ConfigurationError
from schemas.kafka.arguments import producer_arguments, transactional_producer_arguments
from schemas.kafka.codecs import batch_code
from schemas.settings import Settings


def read(text: str) -> Settings:
    return read_settings(text, source="here.toml", environ={})


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (
            'security_protocol = "SASL_SSL"',
            (
                "kafka.username: is missing, and security_protocol = SASL_SSL cannot do without",
                "kafka.password: is missing, and security_protocol = SASL_SSL cannot do without",
            ),
        ),
        (
            'security_protocol = "SASL_PLAINTEXT"\nusername = "u"\npassword = "file:{bytes}"',
            ("kafka.password: file:{bytes} is not UTF-8 text",),
        ),
        ('bootstrap_servers = "kafka:port"', ("kafka.bootstrap_servers: is a list such as kafka-1:9092,kafka-2:9092",)),
        ('bootstrap_servers = ""', ("kafka.bootstrap_servers: is a list such as kafka-1:9092,kafka-2:9092",)),
    ],
)
def test_what_kafka_clients_would_trip_over_is_a_fault(lines: str, faults: tuple[str, ...], tmp_path: Path) -> None:
    """A way to the cluster that no client could go is refused with its key before a client is made."""
    file = tmp_path / "password"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError) as caught:
        read(f"[kafka]\n{lines.replace('{bytes}', str(file))}\n[endpoints]\n")
    assert caught.value.faults == tuple(fault.replace("{bytes}", str(file)) for fault in faults)


@pytest.mark.parametrize("servers", ["kafka", "a:1, b-2.c:65535", "[::1]:9092", "10.0.0.1:9092"])
def test_every_way_to_name_a_server_is_taken(servers: str) -> None:
    """Names and addresses of both kinds, with a port or the usual one."""
    assert read(f'[kafka]\nbootstrap_servers = "{servers}"\n[endpoints]\n').kafka.bootstrap_servers == servers


def test_a_missing_certificate_is_told_with_its_key(tmp_path: Path) -> None:
    """Each file that cannot be read is a fault of the configuration, with its key and the reason."""
    files = f'ca_file = "{tmp_path}/ca.pem"\ncert_file = "{tmp_path}"'
    with pytest.raises(ConfigurationError) as caught:
        read(f'[kafka]\nsecurity_protocol = "SSL"\n{files}\n[endpoints]\n')
    assert caught.value.source == "here.toml"
    assert caught.value.faults == (
        f"kafka.ca_file: cannot read {tmp_path}/ca.pem: No such file or directory",
        f"kafka.cert_file: cannot read {tmp_path}: Is a directory",
    )


def test_a_file_that_holds_no_certificate_is_a_fault(tmp_path: Path) -> None:
    """A readable file with something else in it stops the start as well."""
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="holds no certificate or key"):
        read(f'[kafka]\nsecurity_protocol = "SSL"\nca_file = "{tmp_path}/ca.pem"\n[endpoints]\n')


def test_each_producer_compresses_as_its_own_program_is_set() -> None:
    """`raw` is written as it is and everything else in zstd, unless the ingress or the processors are set otherwise."""
    plain = read("[endpoints]\n")
    set_otherwise = read('[ingest]\ncompression = "lz4"\n[process]\ncompression = "none"\n[endpoints]\n')
    assert producer_arguments(plain)["compression_type"] is None
    assert transactional_producer_arguments(plain, transactional_id="one")["compression_type"] == "zstd"
    assert producer_arguments(set_otherwise)["compression_type"] == "lz4"
    assert transactional_producer_arguments(set_otherwise, transactional_id="one")["compression_type"] is None
    assert (batch_code("none"), batch_code("lz4"), batch_code("zstd")) == (0, 3, 4)
