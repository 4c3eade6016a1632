"""The configuration: every fault at once, variables over the file, secrets never shown."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from ingest.budgets import ByteBudget, EndpointBytes
from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.secrets import Secret, resolve
from schemas.settings import Settings

PROVIDERS = ("dreamship", "shipstream", "modern_dropship", "dropea")
ENVIRON = {"ACME": "tiger-lily-secret", "TOKEN": "path-token-secret"}
SMALLEST = '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:ACME"]\n'


def read(text: str, environ: Mapping[str, str] = ENVIRON, *, signing_secrets: bool = True) -> Settings:
    context = Context(environ=environ, providers=PROVIDERS, signing_secrets=signing_secrets)
    return read_configuration(text, source="here.toml", context=context)


def faults_of(text: str, environ: Mapping[str, str] = ENVIRON) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, environ)
    return caught.value.faults


def outcome(text: str, environ: Mapping[str, str] = ENVIRON) -> Settings | tuple[str, ...]:
    """The settings, or the faults."""
    try:
        return read(text, environ)
    except ConfigurationError as error:
        return error.faults


def test_everything_but_the_endpoints_has_a_default() -> None:
    """One endpoint is a whole configuration."""
    settings = read(SMALLEST)
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.kafka.topic_prefix == "dropstream."
    assert settings.kafka.replication_factor == 3
    assert settings.kafka.partitions == 12
    assert settings.ingest.port == 8080
    assert settings.ingest.kafka_deadline_ms == 1500
    assert settings.process.dedupe_window_hours == 120
    assert settings.sequence.lost_after_hours == 110
    assert settings.endpoints["acme"].lanes == 1
    assert settings.endpoints["acme"].enabled is True


def test_every_endpoint_option_is_read() -> None:
    """An endpoint's options arrive as typed values."""
    endpoint = read(
        """
        [endpoints.md]
        provider = "modern_dropship"
        secrets = ["env:ACME", { value = "env:TOKEN", expires = 2027-01-01T00:00:00Z }]
        token = "env:TOKEN"
        signature = "verify-if-present"
        signature_scheme = { header = "X-Sign", format = "plain", encoding = "base64" }
        timestamp_tolerance_seconds = 300
        allow_from = ["203.0.113.0/24", "2001:db8::/32"]
        rate_per_second = 50.0
        burst = 100
        lanes = 4
        enabled = false
        """
    ).endpoints["md"]
    assert [str(one.value) for one in endpoint.secrets] == ["env:ACME", "env:TOKEN"]
    assert [one.value.value for one in endpoint.secrets] == [b"tiger-lily-secret", b"path-token-secret"]
    assert endpoint.secrets[0].expires is None
    assert endpoint.secrets[1].expires == datetime(2027, 1, 1, tzinfo=UTC)
    assert endpoint.token == (Secret("env:TOKEN", b"path-token-secret"),)
    assert endpoint.signature_scheme.header == "X-Sign"
    assert endpoint.allow_from == [ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")]
    assert (endpoint.rate_per_second, endpoint.burst, endpoint.lanes, endpoint.enabled) == (50.0, 100, 4, False)


def test_every_fault_is_named_at_once() -> None:
    """A file with many faults is refused once, with all of them, each with its key."""
    faults = faults_of(
        """
        [kafka]
        bootstrap_server = "b:9092"
        partitions = "12"
        [ingets]
        port = 1
        [process]
        transaction_timeout_ms = 20000
        [endpoints.acme]
        provider = "shipsteam"
        secrets = ["env:ABSENT"]
        lane = 2
        [endpoints."Bad Name"]
        provider = "dropea"
        secrets = ["env:ACME"]
        """,
        {**ENVIRON, "DROPSTREAM_KAFKA__PARTITION": "3"},
    )
    assert set(faults) == {
        "environment DROPSTREAM_KAFKA__PARTITION: no such setting; nearest valid name: kafka.partitions",
        "kafka.bootstrap_server: no such setting; nearest valid name: bootstrap_servers",
        "kafka.partitions: Input should be a valid integer",
        "ingets: no such setting; nearest valid name: ingest",
        "process: transaction_timeout_ms must be below session_timeout_ms",
        "endpoints.acme.provider: no such provider; nearest valid name: shipstream",
        "endpoints.acme.secrets[0].value: the environment has no ABSENT; set it, or name another source",
        "endpoints.acme.lane: no such setting; nearest valid name: lanes",
        "endpoints.Bad Name: an endpoint's name must match ^[a-z0-9][a-z0-9._-]{0,62}$",
    }


def test_the_error_names_the_file_and_counts() -> None:
    """A person sees which file is meant, then a fault a line."""
    with pytest.raises(ConfigurationError) as caught:
        read("[kafka]\npartition = 1\n" + SMALLEST)
    assert str(caught.value) == (
        "here.toml: 1 fault\n  kafka.partition: no such setting; nearest valid name: partitions"
    )


def test_without_endpoints_it_is_refused() -> None:
    """There is nothing to do without an endpoint table, and the sentence says so."""
    assert faults_of("") == ("endpoints: is missing; add a table [endpoints.NAME] with provider and secrets",)


def test_text_that_is_no_toml_is_refused_with_its_place() -> None:
    """A typing mistake is told with line and column."""
    (fault,) = faults_of("[kafka\n")
    assert fault.startswith("not TOML: ")
    assert "line 1" in fault


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("rate_per_second = 0.0", "endpoints.acme.rate_per_second: Input should be greater than 0"),
        ("lanes = 0", "endpoints.acme.lanes: Input should be greater than or equal to 1"),
        ("lanes = true", "endpoints.acme.lanes: Input should be a valid integer"),
        ("burst = 5", "endpoints.acme: burst does nothing without rate_per_second"),
        ('allow_from = ["nowhere"]', "endpoints.acme.allow_from[0]: 'nowhere' does not appear to be an IPv4"),
        ('signature = "never"', "endpoints.acme.signature: Input should be 'require' or 'verify-if-present'"),
        ("token = 5", "endpoints.acme.token: a secret is a reference: env:NAME or file:PATH"),
    ],
)
def test_a_value_out_of_bounds_is_named(line: str, fault: str) -> None:
    """A wrong value is told with its key and what is allowed."""
    (found,) = faults_of(SMALLEST + line)
    assert found.startswith(fault)


def test_an_expiry_needs_a_zone() -> None:
    """A secret never expires at an hour that depends on the machine."""
    (fault,) = faults_of(
        '[endpoints.acme]\nprovider = "dropea"\nsecrets = [{ value = "env:ACME", expires = 2027-01-01T00:00:00 }]'
    )
    assert fault == "endpoints.acme.secrets[0].expires: has no time zone; write it as 2027-01-01T00:00:00Z"


def test_an_endpoint_that_requires_a_signature_needs_a_secret() -> None:
    """An endpoint without secrets stands only where unsigned deliveries are allowed in so many words."""
    (fault,) = faults_of('[endpoints.acme]\nprovider = "dropea"')
    assert fault == 'endpoints.acme: has no secrets; name at least one, as secrets = ["env:NAME"]'
    assert (
        read('[endpoints.acme]\nprovider = "dropea"\nsignature = "verify-if-present"').endpoints["acme"].secrets == []
    )


def test_a_variable_overrides_the_file_with_its_type() -> None:
    """What the environment says counts more than the file, as text, number or truth, whichever the setting is."""
    environ = {
        **ENVIRON,
        "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS": "kafka-1:9092,kafka-2:9092",
        "DROPSTREAM_KAFKA__PARTITIONS": "6",
        "DROPSTREAM_KAFKA__CHECK_CRCS": "false",
        "DROPSTREAM_KAFKA__USERNAME": "12345",
        "DROPSTREAM_KAFKA__PASSWORD": "env:ACME",
        "DROPSTREAM_CONFIG": "elsewhere.toml",
        "DROPSTREAM_UNRELATED": "no section, no setting",
    }
    kafka = read('[kafka]\nbootstrap_servers = "file:9092"\n' + SMALLEST, environ).kafka
    assert kafka.bootstrap_servers == "kafka-1:9092,kafka-2:9092"
    assert kafka.partitions == 6
    assert kafka.check_crcs is False
    assert kafka.username == "12345"
    assert kafka.password == Secret("env:ACME", b"tiger-lily-secret")


def text_settings() -> Iterator[tuple[str, str]]:
    """Table and key of every setting that is refused where it is no text."""
    for table, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for key in field.annotation.model_fields:
                try:
                    field.annotation.model_validate({key: 7})
                except ValidationError as error:
                    if error.errors()[0]["type"] == "string_type":
                        yield table, key


def test_a_variable_of_a_text_stays_text() -> None:
    """Whatever it looks like, it means what the same text in quotes means in the file: a name of digits is a name."""
    found = {f"{table}.{key}" for table, key in text_settings()}
    assert found >= {"kafka.username", "ingest.spool_dir", "process.instance_id", "console.token", "console.ingest_url"}
    for table, key in text_settings():
        for text in ("7", "true", "2026-05-21"):
            variable = {f"DROPSTREAM_{table}__{key}".upper(): text}
            assert outcome(SMALLEST, {**ENVIRON, **variable}) == outcome(f'[{table}]\n{key} = "{text}"\n{SMALLEST}')
    assert read(SMALLEST, {**ENVIRON, "DROPSTREAM_PROCESS__INSTANCE_ID": "7"}).process.instance_id == "7"


def test_a_variable_of_the_wrong_type_is_named_with_its_key() -> None:
    """An override is checked as the file is."""
    assert faults_of(SMALLEST, {**ENVIRON, "DROPSTREAM_KAFKA__PARTITIONS": "many"}) == (
        "kafka.partitions: Input should be a valid integer",
    )


def test_a_secret_prints_as_its_reference() -> None:
    """No repr, text or dump of the settings holds a secret's value."""
    settings = read(SMALLEST + 'token = "env:TOKEN"')
    for shown in (
        repr(settings),
        str(settings),
        f"{settings.endpoints['acme'].secrets[0].value}",
        repr(settings.endpoints),
    ):
        assert "tiger-lily-secret" not in shown
        assert "path-token-secret" not in shown
    assert [str(token) for token in settings.endpoints["acme"].token] == ["env:TOKEN"]


def test_an_error_never_holds_a_secret() -> None:
    """A secret written into the file by mistake, or a good one beside a fault, is not repeated in the error."""
    with pytest.raises(ConfigurationError) as caught:
        read('[endpoints.acme]\nprovider = "dropea"\nsecrets = ["written-in-the-file"]\nlanes = 0\ntoken = "env:TOKEN"')
    assert caught.value.faults == (
        "endpoints.acme.secrets[0].value: a secret is a reference: env:NAME or file:PATH, never the secret itself",
        "endpoints.acme.lanes: Input should be greater than or equal to 1",
    )
    assert "written-in-the-file" not in str(caught.value)
    assert "path-token-secret" not in str(caught.value)


def test_the_ingress_needs_no_signing_secret() -> None:
    """A process that may not know the signing secrets starts without them, but has tokens."""
    settings = read(SMALLEST + 'token = "env:TOKEN"', {"TOKEN": "path-token-secret"}, signing_secrets=False)
    assert settings.endpoints["acme"].secrets[0].value == Secret("env:ACME", b"")
    assert settings.endpoints["acme"].token == (Secret("env:TOKEN", b"path-token-secret"),)


@pytest.mark.parametrize("written", ["  a secret\r\n", "a secret\n", "\ufeffa secret\n", "\ufeffa secret"])
def test_what_an_editor_leaves_is_no_part_of_a_secret(tmp_path: Path, written: str) -> None:
    """White space at the ends and a byte order mark do not count, in a file and in a variable."""
    file = tmp_path / "secret"
    file.write_text(written, encoding="utf-8", newline="")
    assert resolve(f"file:{file}", {}) == Secret(f"file:{file}", b"a secret")
    assert resolve("env:S", {"S": written}) == Secret("env:S", b"a secret")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_secret_in_utf_16_is_refused(tmp_path: Path, encoding: str) -> None:
    """Windows writes such files; a signature with its bytes would never be right."""
    file = tmp_path / "secret"
    file.write_text("\ufeffa secret" if encoding == "utf-16-be" else "a secret", encoding=encoding)
    with pytest.raises(ValueError, match="is UTF-16 text; write it as UTF-8, without a byte order mark"):
        resolve(f"file:{file}", {})


@pytest.mark.parametrize("secrets", ['"tiger-lily-secret"', '{ value = "tiger-lily-secret" }', '"env:"', "7"])
def test_a_clear_text_secret_is_refused_by_every_process(secrets: str) -> None:
    """The ingress, which resolves no signing secret, refuses what is no reference too, and does not repeat it."""
    for signing_secrets in (True, False):
        with pytest.raises(ConfigurationError) as caught:
            read(SMALLEST.replace('"env:ACME"', secrets), signing_secrets=signing_secrets)
        assert "secret is a reference: env:NAME or file:PATH" in str(caught.value)
        assert "tiger-lily" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "right"),
    [
        ("DROPSTREAM_INGEST_PORT", "DROPSTREAM_INGEST__PORT"),
        ("DROPSTREAM_INGEST_PROT", "DROPSTREAM_INGEST__PORT"),
        ("DROPSTREAM_KAFKA_BOOTSTRAP_SERVER", "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS"),
        ("DROPSTREAM_KAFKA_PASSWORD", "DROPSTREAM_KAFKA__PASSWORD"),
    ],
)
def test_one_underscore_too_few_is_told(variable: str, right: str) -> None:
    """A variable that names a setting but for its underscores is never ignored in silence."""
    told = f"environment {variable}: no such setting; nearest valid name: {right}, with two underscores"
    assert faults_of(SMALLEST, {**ENVIRON, variable: "1"}) == (told,)


def test_a_variable_of_the_person_s_own_is_no_setting() -> None:
    """A secret may have any name, and Kubernetes names the ports of services; neither is a fault."""
    environ = {
        **ENVIRON,
        "DROPSTREAM_KAFKA_PASSWORD": "hunter-of-tigers",
        "DROPSTREAM_INGEST_PORT": "tcp://10.0.0.7:8080",
        "DROPSTREAM_ACME_SECRET": "x",
        "DROPSTREAM_CONFIG": "x",
    }
    settings = read('[kafka]\npassword = "env:DROPSTREAM_KAFKA_PASSWORD"\n' + SMALLEST, environ)
    assert settings.ingest.port == 8080


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot read {file}: No such file or directory"), (b" \n", "file:{file} is empty")],
)
def test_a_secret_file_without_a_secret_is_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """A missing and an empty file are told by name."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match="secret") as caught:
        resolve(f"file:{file}", {})
    assert str(caught.value) == sentence.format(file=file)


@pytest.mark.parametrize("value", ["", " \r\n\t", "\ufeff"])
def test_a_variable_without_a_secret_is_refused(value: str) -> None:
    """Anybody can sign with an empty secret, so none is taken from a variable that is set to nothing."""
    with pytest.raises(ValueError, match=r"^env:S is empty$"):
        resolve("env:S", {"S": value})


def test_a_large_file_is_no_secret(tmp_path: Path) -> None:
    """A wrong path to something large costs no memory."""
    file = tmp_path / "disk.img"
    file.write_bytes(b"x" * 65_537)
    with pytest.raises(ValueError, match="larger than 65536 bytes, too large for a secret"):
        resolve(f"file:{file}", {})


def test_the_largest_body_finds_room_in_memory() -> None:
    """A budget of which one endpoint's three quarters are less than the largest body with its headers is a fault."""
    lines = "[ingest]\nbody_bytes_max = 3_000_000\nin_flight_bytes_max = {}\n" + SMALLEST
    assert faults_of(lines.format(4_010_919)) == (
        "ingest: in_flight_bytes_max must be at least 4010920: a body of body_bytes_max with its headers may hold "
        "three quarters of it, and would be refused for ever",
    )
    assert read(lines.format(4_010_920)).ingest.in_flight_bytes_max == 4_010_920
    budget, endpoint = ByteBudget(4_010_920), EndpointBytes()
    assert budget.reserve(3_000_000 + 8_190, endpoint)
