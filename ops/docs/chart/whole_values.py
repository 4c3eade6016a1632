"""The values that count for all parts: names, image, Secrets, account, and dropstream.toml."""

from collections.abc import Iterator

from ops.docs.chart.rows import FLAG, TABLES, TEXT, TEXTS, ChartValue, section
from ops.docs.chart.settings_shape import settings_shape


def whole_values() -> Iterator[ChartValue]:
    yield ChartValue("nameOverride", "", TEXT, "What stands for `dropstream` in the names of all objects.")
    yield ChartValue("fullnameOverride", "", TEXT, "The whole name, without that of the release.")
    yield ChartValue("commonLabels", {}, TEXTS, "Labels of every object and pod; none of them selects.")
    yield ChartValue("commonAnnotations", {}, TEXTS, "Annotations of every object.")
    yield section("image", "One image for every part, made from deploy/Dockerfile.")
    yield ChartValue("image.repository", "dropstream", {**TEXT, "minLength": 1}, "The image in your own registry.")
    yield ChartValue("image.tag", "", TEXT, "Empty: the chart's `appVersion`.")
    yield ChartValue(
        "image.digest",
        "",
        {**TEXT, "pattern": "^(sha256:[0-9a-f]{64})?$"},
        "`sha256:…` of the image; better than a tag, which is ignored then.",
    )
    yield ChartValue(
        "image.pullPolicy",
        "IfNotPresent",
        {"enum": ["Always", "IfNotPresent", "Never"]},
        "When a node pulls the image.",
    )
    yield ChartValue("imagePullSecrets", [], TABLES, "Secrets for the registry, each as `{name: …}`.")
    yield section(
        "secrets",
        "Names of Secrets that exist; the chart makes none. Each key of one is a file below "
        "/run/secrets/dropstream/KIND, where settings refer to it.",
    )
    yield ChartValue(
        "secrets.signing", "", TEXT, "What signs deliveries; mounted where they are verified, never for the ingress."
    )
    yield ChartValue("secrets.tokens", "", TEXT, "Tokens of paths, which every part reads.")
    yield ChartValue("secrets.kafka", "", TEXT, "Password, CA and client certificate of the cluster.")
    yield section("serviceAccount", "Who the pods are. No token of the cluster is mounted into any of them.")
    yield ChartValue("serviceAccount.create", True, FLAG, "Whether the chart makes it.")
    yield ChartValue(
        "serviceAccount.name", "", TEXT, "Its name; empty: the name of all objects, or `default` where none is made."
    )
    yield ChartValue("serviceAccount.annotations", {}, TEXTS, "Its annotations, such as the role of a cloud.")


def settings_values() -> Iterator[ChartValue]:
    yield ChartValue(
        "settings",
        {
            "kafka": {"bootstrap_servers": "kafka-bootstrap:9092", "replication_factor": 3, "partitions": 12},
            "ingest": {},
            # A pod that is back within it has its partitions still; one that is lost is missed for as long.
            "process": {"session_timeout_ms": 45000, "redact_personal_data": False},
            "sequence": {},
            "reconcile": {},
            "console": {},
            "shipstream": {},
            "endpoints": {},
        },
        settings_shape(),
        "dropstream.toml, table by table: every key of docs/settings.md but those that the chart sets itself (hosts "
        "and ports of the parts, `ingest.spool_dir`, `process.instance_id`, `process.state_dir`, and of the console "
        "its token, its names and where the other parts are). At least one endpoint must be there, such as "
        '`shipstream-acme: {provider: shipstream, secrets: ["file:/run/secrets/dropstream/signing/shipstream-acme"]}`. '
        "More partitions than there are need a migration before the upgrade: see the chart's README.",
    )
