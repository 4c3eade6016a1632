"""The values of what stands around the parts: the front doors, who may talk to whom, and monitoring."""

from collections.abc import Iterator

from ops.docs.chart.rows import (
    DURATION,
    FLAG,
    INTERVAL,
    TABLE,
    TABLES,
    TEXT,
    TEXTS,
    WORDS,
    ChartValue,
    at_least,
    section,
)


def front_values() -> Iterator[ChartValue]:
    yield section(
        "ingress",
        "An Ingress in front of the service; TLS ends there. Put its addresses into `settings.ingest.trusted_proxies`.",
    )
    yield ChartValue("ingress.enabled", False, FLAG, "Whether it is made.")
    yield ChartValue("ingress.className", "", TEXT, "Empty: the cluster's default class.")
    yield ChartValue("ingress.annotations", {}, TEXTS, "Its annotations.")
    yield ChartValue("ingress.host", "webhooks.example.com", TEXT, "The host name of your webhooks' URLs.")
    yield ChartValue(
        "ingress.tlsSecret", "", TEXT, "The Secret of its certificate; empty: that of `certificate`, else no TLS."
    )
    yield section("httpRoute", "The same by the Gateway API: an HTTPRoute to a Gateway that exists.")
    yield ChartValue("httpRoute.enabled", False, FLAG, "Whether it is made.")
    yield ChartValue(
        "httpRoute.parentRefs", [], TABLES, "The Gateways, each as `{name: …, namespace: …}`; at least one."
    )
    yield ChartValue(
        "httpRoute.hostnames", [], WORDS, "The host names of your webhooks' URLs; empty for the Gateway's."
    )
    yield ChartValue("httpRoute.annotations", {}, TEXTS, "Its annotations.")
    yield section("certificate", "A Certificate of cert-manager for the names of `ingress` and `httpRoute`.")
    yield ChartValue("certificate.enabled", False, FLAG, "Whether it is made.")
    yield ChartValue(
        "certificate.issuerRef", {}, TABLE, "Who issues it, such as `{kind: ClusterIssuer, name: letsencrypt}`."
    )
    yield ChartValue("certificate.secretName", "", TEXT, "Where it is kept; empty: `NAME-tls`.")
    yield ChartValue("certificate.dnsNames", [], WORDS, "Its names; empty: those of `ingress` and `httpRoute`.")
    yield ChartValue(
        "certificate.duration", "", DURATION, "How long it is valid, such as `2160h`; empty: cert-manager's."
    )
    yield ChartValue("certificate.renewBefore", "", DURATION, "How long before its end it is renewed; empty likewise.")
    yield ChartValue("certificate.annotations", {}, TEXTS, "Its annotations.")


def network_values() -> Iterator[ChartValue]:
    yield section(
        "networkPolicy", "Who may talk to the pods, and to whom they may talk. Peers are as in a NetworkPolicy."
    )
    yield ChartValue("networkPolicy.enabled", True, FLAG, "Whether a policy is made for each part.")
    yield ChartValue("networkPolicy.webhooksFrom", [], TABLES, "Who may send webhooks; empty for everybody.")
    yield ChartValue(
        "networkPolicy.metricsFrom",
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        TABLES,
        "Who may scrape the admin ports.",
    )
    yield ChartValue("networkPolicy.consoleFrom", [], TABLES, "Who may open the console; empty for nobody.")
    yield ChartValue("networkPolicy.kafka.to", [], TABLES, "Where Kafka is; empty for anywhere, at its ports.")
    yield ChartValue(
        "networkPolicy.kafka.ports",
        [],
        {"type": "array", "items": at_least(1, 65_535)},
        "Ports of the brokers beside those in `settings.kafka.bootstrap_servers`, which are let out always.",
    )
    yield ChartValue(
        "networkPolicy.extraEgress",
        [],
        TABLES,
        "More rules of where every part may connect, such as to a token provider, or a collector of traces.",
    )


def monitoring_values() -> Iterator[ChartValue]:
    yield section("monitoring", "Objects of the Prometheus operator: a ServiceMonitor or a PodMonitor, and the alarms.")
    for kind, what in (("serviceMonitor", "by the services of the pods"), ("podMonitor", "by the pods themselves")):
        yield ChartValue(f"monitoring.{kind}.enabled", False, FLAG, f"Whether the pods are scraped {what}.")
        yield ChartValue(f"monitoring.{kind}.interval", "15s", INTERVAL, "How often.")
        yield ChartValue(f"monitoring.{kind}.labels", {}, TEXTS, "Labels by which your Prometheus finds it.")
    yield ChartValue("monitoring.rules.enabled", False, FLAG, "Whether the alarms are installed.")
    yield ChartValue(
        "monitoring.rules.content",
        "",
        TEXT,
        "Alarms of your own instead of the chart's, such as `--set-file monitoring.rules.content=rules.yaml`.",
    )
    yield ChartValue(
        "monitoring.rules.runbookUrl",
        "",
        {**TEXT, "pattern": "^(https?://.+)?$"},
        "Where your people read deploy/runbook.md; the alerts link there.",
    )
    yield ChartValue("monitoring.rules.labels", {}, TEXTS, "Labels by which your Prometheus finds them.")
    yield ChartValue(
        "monitoring.dashboard.enabled", False, FLAG, "Whether Grafana's dashboard is installed, in a ConfigMap."
    )
    yield ChartValue(
        "monitoring.dashboard.labels", {"grafana_dashboard": "1"}, TEXTS, "Labels by which Grafana's sidecar finds it."
    )
    yield ChartValue("monitoring.dashboard.annotations", {}, TEXTS, "Its annotations, such as the folder in Grafana.")
    yield ChartValue("extraObjects", [], TABLES, "Manifests of your own, rendered as templates with the release.")
