"""The labels that Prometheus really puts on our metrics, by the chart and by compose, against what the alerts read."""

import re
from pathlib import Path
from typing import Any

from ops.docs.metrics_table import metric_rows
from tests.integration.deploy.test_deploy_chart import CONSOLE, MANAGED, manifests, of_kind, templates
from tests.support.deployment import DEPLOY, read_yaml

RULES = (DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
WATCHING = ("--set", "reconcile.enabled=true")
MONITORED = (*WATCHING, "--set", "monitoring.serviceMonitor.enabled=true")
JOBS = {"dropstream-ingest", "dropstream-process", "dropstream-reconcile"}
BY_PODS = ("--set", "monitoring.serviceMonitor.enabled=false,monitoring.podMonitor.enabled=true")
# https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor, and what
# https://github.com/prometheus-operator/prometheus-operator/issues/5307 shows of the configuration that it makes.
OPERATOR_LABELS = {"namespace", "service", "pod", "container", "node", "endpoint", "job", "instance"}


def operator_targets(documents: list[Any]) -> list[dict[str, str]]:
    """The labels of each target that the operator makes of the chart's ServiceMonitor, relabelled as it says."""
    monitor = of_kind(documents, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"]
    (endpoint,) = monitor["endpoints"]
    targets = []
    for service in (one for one in documents if one["kind"] == "Service"):
        labels = service["metadata"]["labels"]
        if wanted.items() <= labels.items():
            assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
            target = dict.fromkeys(OPERATOR_LABELS, "x")
            target |= {"service": service["metadata"]["name"], "endpoint": endpoint["port"]}
            target["job"] = labels.get(monitor.get("jobLabel", ""), service["metadata"]["name"])
            targets.append(relabelled(target, endpoint.get("relabelings", [])))
    return targets


def relabelled(target: dict[str, str], steps: list[Any]) -> dict[str, str]:
    """The labels after these steps, of the two kinds that the chart uses."""
    labels = dict(target)
    for step in steps:
        if step.get("action", "replace") == "labeldrop":
            labels = {name: value for name, value in labels.items() if not re.fullmatch(step["regex"], name)}
        else:
            assert step.keys() == {"sourceLabels", "targetLabel", "replacement"}
            labels[step["targetLabel"]] = step["replacement"].replace("$1", labels[step["sourceLabels"][0]])
    return labels


def compose_targets() -> list[dict[str, str]]:
    """The labels of each target of deploy/compose."""
    (config,) = read_yaml((DEPLOY / "compose" / "prometheus.yaml").read_text(encoding="utf-8"))
    found = [
        {"job": scrape["job_name"], "instance": target, **group.get("labels", {})}
        for scrape in config["scrape_configs"]
        for group in scrape.get("static_configs", ())
        for target in group["targets"]
    ]
    # What is found by name has its address for its instance.
    named = [scrape["job_name"] for scrape in config["scrape_configs"] if "dns_sd_configs" in scrape]
    assert named == ["dropstream-reconcile"]
    return found + [{"job": name, "instance": "10.0.0.7:8084"} for name in named]


def pod_targets(documents: list[Any]) -> list[dict[str, str]]:
    """The same of the PodMonitor, from the pods that it selects."""
    monitor = of_kind(documents, "PodMonitor")["spec"]
    (chosen,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    targets = []
    for template in templates(documents).values():
        labels = template["metadata"]["labels"]
        wanted = monitor["selector"]["matchLabels"].items() <= labels.items()
        if wanted and labels[chosen["key"]] in chosen["values"]:
            assert endpoint["port"] in [port["name"] for port in template["spec"]["containers"][0]["ports"]]
            target = dict.fromkeys(OPERATOR_LABELS - {"service"}, "x") | {"endpoint": endpoint["port"]}
            target["job"] = labels[monitor["jobLabel"]]
            targets.append(relabelled(target, endpoint["relabelings"]))
    return targets


def test_pods_are_scraped_as_services_are() -> None:
    """A PodMonitor gives the same jobs, and takes no label of our metrics away."""
    targets = pod_targets(manifests(*MANAGED, *CONSOLE, *WATCHING, *BY_PODS))
    assert sorted(target["job"] for target in targets) == sorted(JOBS)
    assert not [target for target in targets if "endpoint" in target]


def test_the_chart_and_compose_scrape_the_same_jobs() -> None:
    """Ingress, processors and the watch that reconciles are a job each, by the same names wherever they run."""
    jobs = {target["job"] for target in operator_targets(manifests(*MANAGED, *MONITORED))}
    assert jobs == {target["job"] for target in compose_targets()} == JOBS


def test_every_alert_that_asks_for_a_job_means_the_jobs_there_are() -> None:
    """An expression over a job that nobody scrapes never fires; each such expression meets every job."""
    targets = [*operator_targets(manifests(*MANAGED, *MONITORED)), *compose_targets()]
    asked = re.findall(r'job=~"([^"]*)"', RULES)
    assert len(asked) == RULES.count("job=") > 0
    for pattern in asked:
        assert all(re.fullmatch(pattern, target["job"]) for target in targets)


def test_no_target_takes_a_label_of_our_metrics_away() -> None:
    """Prometheus renames a metric's label that the target has too, and then no alert finds it."""
    ours = {label for rows in metric_rows().values() for row in rows for label in row.labels}
    assert {"endpoint", "group", "worker"} <= ours
    for target in [*operator_targets(manifests(*MANAGED, *MONITORED)), *compose_targets()]:
        assert target.keys() & ours == set()


def test_the_alerts_lead_to_the_runbook_of_the_house(tmp_path: Path) -> None:
    """With its address every alert of the chart has a whole URL, and all else stays as it is."""
    given = tmp_path / "rules.yaml"
    given.write_text(RULES, encoding="utf-8")
    content = ("--set-file", f"monitoring.rules.content={given}", "--set", "monitoring.rules.enabled=true")
    url = "https://wiki.example/dropstream/runbook"
    documents = manifests(*MANAGED, *content, "--set", f"monitoring.rules.runbookUrl={url}")
    spec = of_kind(documents, "PrometheusRule")["spec"]
    alerts = [rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(alerts) == RULES.count("- alert: ")
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"{url}#{alert['alert'].lower()}"
