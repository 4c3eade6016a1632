"""What a team may set by its own standards: each value of the chart does what its sentence says, and harms nothing."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ops.docs.chart.values import chart_values
from ops.docs.chart.values_file import default_values
from schemas.topics import TopicPlan, plan
from tests.integration.deploy.test_deploy_chart import (
    CONSOLE,
    FULL,
    SMALL,
    configuration,
    manifests,
    of_kind,
    templates,
    workloads,
)
from tests.support.deployment import CHART, DEPLOY, put_secrets, read_as_deployed, read_yaml, rendered, run
from tests.support.tools import tool

PARTS = ("ingest", "process", "audit", "reconcile", "console", "topics")
ALL_PARTS = (*SMALL, *CONSOLE, "--set", "reconcile.enabled=true")
EVERYTHING = {
    "annotations": {"shop/owner": "orders"},
    "podAnnotations": {"shop/inject": "false"},
    "podLabels": {"shop/tier": "edge"},
    "priorityClassName": "important",
    "hostUsers": False,
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podSecurityContext": {"runAsUser": 2000, "supplementalGroups": [7]},
    "securityContext": {"runAsNonRoot": True},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "extraVolumes": [{"name": "certificates", "configMap": {"name": "house-ca"}}],
    "extraVolumeMounts": [{"name": "certificates", "mountPath": "/etc/house"}],
    "initContainers": [{"name": "before", "image": "before:1"}],
    "extraContainers": [{"name": "beside", "image": "beside:1"}],
}


def given(tmp_path: Path, values: dict[str, Any]) -> tuple[str | Path, ...]:
    """The argument of Helm for these values."""
    file = tmp_path / "given.yaml"
    file.write_text(json.dumps(values), encoding="utf-8")
    return ("--values", file)


def test_the_file_of_values_holds_the_defaults_of_the_table() -> None:
    """`values.yaml`, as YAML reads it, is the table's own defaults: no text became a number, a time or a truth."""
    assert read_yaml((CHART / "values.yaml").read_text(encoding="utf-8")) == [default_values(chart_values())]


def test_every_part_takes_all_that_a_pod_can_be_given(tmp_path: Path) -> None:
    """Labels, annotations, placement, contexts, variables, volumes and containers reach each part alike."""
    documents = manifests(*ALL_PARTS, *given(tmp_path, dict.fromkeys(PARTS, EVERYTHING)))
    made = templates(documents)
    assert {name.removeprefix("dropstream-") for name in made} == set(PARTS)
    for template in made.values():
        pod = template["spec"]
        container, beside = pod["containers"]
        assert template["metadata"]["annotations"]["shop/inject"] == "false"
        assert template["metadata"]["labels"]["shop/tier"] == "edge"
        assert (pod["priorityClassName"], pod["hostUsers"]) == ("important", False)
        assert (pod["nodeSelector"], pod["tolerations"]) == ({"disk": "ssd"}, EVERYTHING["tolerations"])
        assert pod["affinity"] == {"nodeAffinity": {}}
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["supplementalGroups"]) == (2000, [7])
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"].items() >= {"runAsNonRoot": True, "readOnlyRootFilesystem": True}.items()
        assert container["env"][-1] == {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
        assert container["envFrom"] == [{"secretRef": {"name": "more"}}]
        assert container["volumeMounts"][-1] == {"name": "certificates", "mountPath": "/etc/house"}
        assert pod["volumes"][-1] == {"name": "certificates", "configMap": {"name": "house-ca"}}
        assert (pod["initContainers"][0]["name"], beside["name"]) == ("before", "beside")
    owners = [one for one in documents if one["kind"] in {"StatefulSet", "Deployment", "CronJob", "Job"}]
    assert [one["metadata"]["annotations"]["shop/owner"] for one in owners] == ["orders"] * len(PARTS)


def test_labels_and_annotations_of_the_house_are_on_every_object() -> None:
    """And on every pod, but in no selector: what selects can never be changed."""
    house = ("--set", "commonLabels.team=orders", "--set", "commonAnnotations.contact=on-call")
    documents = manifests(*FULL, *house)
    for one in documents:
        assert one["metadata"]["labels"]["team"] == "orders", one["kind"]
        assert one["metadata"]["annotations"]["contact"] == "on-call", one["kind"]
        assert "team" not in json.dumps([one.get("spec", {}).get(key) for key in ("selector", "podSelector")])
    for template in templates(documents).values():
        assert template["metadata"]["labels"]["team"] == "orders"


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("settings.kafka.topic_prefix=shop.", "settings.kafka.partitions=48"),
        ("settings.kafka.topic_prefix=", "settings.kafka.replication_factor=1"),
        ("settings.ingest.body_bytes_max=16777216", "settings.process.dedupe_window_hours=500"),
        ("settings.ingest.body_bytes_max=1000", "settings.kafka.replication_factor=2"),
    ],
)
def test_a_topic_of_strimzi_is_the_topic_of_the_code(more: tuple[str, ...], tmp_path: Path) -> None:
    """Name, partitions, replicas and every setting of each KafkaTopic are those that `topics apply` wants."""
    arguments = [*SMALL, "--set", "topics.strimzi.enabled=true,topics.strimzi.cluster=events"]
    documents = manifests(*arguments, *(part for one in more for part in ("--set", one)))
    topics = [one for one in documents if one["kind"] == "KafkaTopic"]
    found = [
        (spec["topicName"], spec["partitions"], spec["replicas"], spec["config"])
        for spec in (one["spec"] for one in topics)
    ]
    (text,) = {one["data"]["dropstream.toml"] for one in documents if one["kind"] == "ConfigMap"}
    wanted = plan(read_as_deployed(text, {}, folder=tmp_path, signing_secrets=False))
    assert found == [_planned(one) for one in wanted]
    assert {one["metadata"]["labels"]["strimzi.io/cluster"] for one in topics} == {"events"}
    # Uninstalling the release must not delete what was received.
    assert {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in topics} == {"keep"}


def _planned(one: TopicPlan) -> tuple[str, int, int, dict[str, str]]:
    return (one.name, one.partitions, one.replication_factor, one.config)


def test_with_strimzi_the_topics_come_before_the_job_that_looks_at_them() -> None:
    """`topics apply` runs after the install, as the account that the release made, for the operator was faster then."""
    documents = manifests(*FULL)
    for kind in ("Job", "ConfigMap", "NetworkPolicy"):
        hook = of_kind(documents, kind, "-topics")["metadata"]["annotations"]
        assert hook["helm.sh/hook"] == "post-install,post-upgrade"
    assert workloads(documents)["topics"]["serviceAccountName"] == "dropstream"
    assert "serviceAccountName" not in workloads(manifests(*SMALL))["topics"]


# Series of two pods, by the minute, and how many pods the query then asks for; None: KEDA gets no answer, and holds.
SPOOLS: dict[str, tuple[dict[str, str], int | None]] = {
    "all-empty": ({"deliveries 0": "0", "deliveries 1": "0", "up 0": "1", "up 1": "1"}, 0),
    "one-waits": ({"deliveries 0": "0", "deliveries 1": "3", "up 0": "1", "up 1": "1"}, 2),
    "one-is-refused": ({"deliveries 0": "0", "refused 0": "1", "up 0": "1", "up 1": "1"}, 2),
    "one-is-unread": ({"deliveries 0": "0", "unread_files 1": "1", "up 0": "1", "up 1": "1"}, 2),
    "one-is-damaged": ({"deliveries 0": "0", "damaged 1": "4", "up 0": "1", "up 1": "1"}, 2),
    "one-is-silent": ({"deliveries 0": "0", "up 0": "1", "up 1": "0"}, 2),
    "another-release-waits": ({"deliveries 0": "0", "up 0": "1", "deliveries other-0": "7", "up other-0": "0"}, 0),
    "nobody-is-known": ({"deliveries other-0": "0", "up other-0": "1"}, None),
}


@pytest.mark.parametrize("name", SPOOLS)
def test_no_ingress_is_taken_away_while_a_spool_holds_anything(name: str, tmp_path: Path) -> None:
    """What KEDA asks Prometheus is as many pods as there are then, and none where every spool is known to be empty."""
    series, pods = SPOOLS[name]
    scaled = of_kind(manifests(*FULL), "ScaledObject", "-ingest")["spec"]
    cpu, hold = scaled["triggers"]
    assert (cpu["type"], hold["type"], hold["metricType"]) == ("cpu", "prometheus", "AverageValue")
    assert (hold["metadata"]["threshold"], hold["metadata"]["ignoreNullValues"]) == ("1", "false")
    samples = [{"labels": "pods", "value": pods}] if pods is not None else []
    case = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [_series(key, value) for key, value in series.items()],
                "promql_expr_test": [{"expr": "pods", "eval_time": "1m", "exp_samples": samples}],
            }
        ],
    }
    rule = {"groups": [{"name": "g", "rules": [{"record": "pods", "expr": hold["metadata"]["query"]}]}]}
    (tmp_path / "rules.yaml").write_text(json.dumps(rule), encoding="utf-8")
    (tmp_path / "case.yaml").write_text(json.dumps(case), encoding="utf-8")
    run(tool("promtool"), "test", "rules", tmp_path / "case.yaml")


def _series(key: str, value: str) -> dict[str, str]:
    metric, pod = key.split()
    name = "up" if metric == "up" else f"dropstream_ingest_spool_{metric}"
    name_of_pod = f"dropstream-ingest-{pod}" if pod.isdecimal() else f"{pod.replace('-', '-dropstream-ingest-')}"
    target = f'namespace="shop",job="dropstream-ingest",pod="{name_of_pod}",instance="10.0.0.{pod}:8081"'
    return {"series": f"{name}{{{target}}}", "values": f"{value}x5"}


def test_an_ingress_leaves_slowly_and_alone() -> None:
    """With autoscaling the number is KEDA's alone; one pod at a time goes, after a long quiet."""
    documents = manifests(*FULL)
    assert "replicas" not in of_kind(documents, "StatefulSet", "-ingest")["spec"]
    scaled = of_kind(documents, "ScaledObject", "-ingest")["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (3, 9)
    down = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down == {
        "stabilizationWindowSeconds": 900,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 900}],
    }


def test_the_front_doors_lead_to_the_ingress_under_one_certificate() -> None:
    """Ingress and HTTPRoute take webhooks alone, and the Certificate has the names of both."""
    documents = manifests(*FULL, "--set", "httpRoute.hostnames={hooks.example.com,webhooks.example.com}")
    route = of_kind(documents, "HTTPRoute")["spec"]
    (rule,) = route["rules"]
    assert route["parentRefs"] == [{"name": "front"}]
    assert rule == {
        "matches": [{"path": {"type": "PathPrefix", "value": "/webhooks"}}],
        "backendRefs": [{"name": "dropstream-ingest", "port": 80}],
    }
    certificate = of_kind(documents, "Certificate")["spec"]
    assert certificate["dnsNames"] == ["webhooks.example.com", "hooks.example.com"]
    assert (certificate["secretName"], certificate["issuerRef"]) == ("dropstream-tls", {"name": "letsencrypt"})
    assert of_kind(documents, "Ingress")["spec"]["tls"] == [
        {"hosts": ["webhooks.example.com"], "secretName": "dropstream-tls"}
    ]


def test_an_account_of_the_house_is_used_by_every_pod() -> None:
    """Where the chart makes none, the one that is named serves the hook's pod too, for it is there before."""
    documents = manifests(*SMALL, *CONSOLE, "--set", "serviceAccount.create=false,serviceAccount.name=orders")
    assert not [one for one in documents if one["kind"] == "ServiceAccount"]
    assert {pod["serviceAccountName"] for pod in workloads(documents).values()} == {"orders"}


def test_a_budget_says_one_thing_or_nothing() -> None:
    """The fewest that stay stand instead of the most that go, and null makes no budget."""
    documents = manifests(
        *SMALL, "--set", "ingest.podDisruptionBudget.minAvailable=2", "--set", "process.podDisruptionBudget=null"
    )
    budget = of_kind(documents, "PodDisruptionBudget")
    assert (budget["metadata"]["name"], budget["spec"]["minAvailable"]) == ("dropstream-ingest", 2)
    assert "maxUnavailable" not in budget["spec"]


def test_pods_spread_over_nodes_and_zones_or_as_they_are_told(tmp_path: Path) -> None:
    """A constraint that is given stands alone, and counts the part's own pods unless it says which."""
    default = workloads(manifests(*SMALL))["ingest"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in default] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    strict = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    values = given(tmp_path, {"process": {"topologySpreadConstraints": [strict]}})
    (found,) = workloads(manifests(*SMALL, *values))["process"]["topologySpreadConstraints"]
    assert found.items() >= strict.items()
    assert found["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "process"


def test_a_digest_stands_over_a_tag() -> None:
    """Every part runs the same image, by its content where that is known."""
    digest = "sha256:" + "0123456789abcdef" * 4
    documents = manifests(
        *SMALL, *CONSOLE, "--set", f"image.repository=hub/dropstream,image.tag=latest,image.digest={digest}"
    )
    images = {container["image"] for pod in workloads(documents).values() for container in pod["containers"]}
    assert images == {f"hub/dropstream@{digest}"}


def test_long_names_stay_names() -> None:
    """No object's name is longer than Kubernetes takes, whatever the release is called."""
    long = "release-" + "n" * 45
    documents = read_yaml(
        run(tool("helm"), "template", long, CHART, "--kube-version", "1.33.0", *map(str, SMALL), *CONSOLE)
    )
    names = {one["kind"]: one["metadata"]["name"] for one in documents}
    assert all(len(name) <= (52 if kind in {"CronJob", "StatefulSet"} else 63) for kind, name in names.items())
    own = manifests(*SMALL, "--set", "fullnameOverride=hooks")
    assert {re.split("-", one["metadata"]["name"])[0] for one in own} == {"hooks"}


def test_probes_take_what_is_laid_over_them() -> None:
    """A longer patience is set without repeating what a probe asks."""
    (container,) = workloads(manifests(*SMALL, "--set", "ingest.probes.liveness.failureThreshold=20"))["ingest"][
        "containers"
    ]
    probe = container["livenessProbe"]
    assert (probe["failureThreshold"], probe["httpGet"]["path"]) == (20, "/livez")


def test_manifests_of_the_house_come_with_the_release(tmp_path: Path) -> None:
    """And may name what the release is called."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{{ .Release.Name }}-extra"}}
    documents = manifests(*SMALL, *given(tmp_path, {"extraObjects": [secret]}))
    assert of_kind(documents, "Secret")["metadata"]["name"] == "dropstream-extra"


def test_consoles_and_accounts_of_shipstream_reach_the_file(tmp_path: Path) -> None:
    """`settings.console` and `settings.shipstream` are read by every part as they are meant."""
    values = given(
        tmp_path,
        {
            "settings": {
                "console": {"records_per_partition": 500},
                "shipstream": {
                    "acme": {
                        "url": "https://acme.shipstream.app",
                        "username": "dropstream",
                        "api_key": "file:/run/secrets/dropstream/signing/api",
                    }
                },
            }
        },
    )
    documents = manifests(*SMALL, *values)
    text = configuration(documents, workloads(documents)["process"])
    read = read_as_deployed(text, {}, folder=tmp_path, signing_secrets=False)
    assert read.console.records_per_partition == 500
    assert (read.shipstream["acme"].url, read.shipstream["acme"].username) == (
        "https://acme.shipstream.app/api/jsonrpc",
        "dropstream",
    )


def test_the_watch_that_fetches_back_is_one_and_reaches_apis() -> None:
    """One pod, never two at once; it may connect to port 443, and is scraped and asked as the others are."""
    documents = manifests(*ALL_PARTS)
    watch = of_kind(documents, "Deployment", "-reconcile")["spec"]
    assert (watch["replicas"], watch["strategy"]) == (1, {"type": "Recreate"})
    assert workloads(documents)["reconcile"]["containers"][0]["args"] == ["reconcile", "--watch"]
    https = {"ports": [{"port": 443, "protocol": "TCP"}]}
    policies = [one for one in documents if one["kind"] == "NetworkPolicy"]
    assert [one["metadata"]["name"] for one in policies if https in one["spec"]["egress"]] == ["dropstream-reconcile"]
    assert "admin_port = 8084\n" in configuration(documents, workloads(documents)["reconcile"])


def test_the_console_reaches_the_apis_that_are_configured() -> None:
    """Its button fetches a lost gap back, so it may connect to port 443 where an endpoint has an `api`."""
    api = '{"url":"https://acme.shipstream.app","username":"reconcile","key":"env:KEY"}'
    with_api = ("--set-json", f"settings.endpoints.shop.api={api}")
    https = {"ports": [{"port": 443, "protocol": "TCP"}]}
    policies = [one for one in manifests(*SMALL, *CONSOLE, *with_api) if one["kind"] == "NetworkPolicy"]
    assert [one["metadata"]["name"] for one in policies if https in one["spec"]["egress"]] == ["dropstream-console"]


def test_alarms_and_dashboard_come_with_the_chart() -> None:
    """Those of deploy/, whole, with no file beside the chart; the dashboard under the label that Grafana looks for."""
    documents = manifests(*SMALL, "--set", "monitoring.rules.enabled=true,monitoring.dashboard.enabled=true")
    rules = (DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
    assert [of_kind(documents, "PrometheusRule")["spec"]] == read_yaml(rules)
    dashboard = of_kind(documents, "ConfigMap", "-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    wanted = json.loads((DEPLOY / "grafana" / "dropstream.json").read_text(encoding="utf-8"))
    assert json.loads(dashboard["data"]["dropstream.json"]) == wanted


def test_people_with_names_need_no_shared_token(tmp_path: Path) -> None:
    """A console whose people or proxy are in `settings.console` starts without a token that several share."""
    people = {"anna": {"token": "file:/run/secrets/dropstream/tokens/anna", "role": "act"}}
    documents = manifests(
        *(*SMALL, "--set", "console.enabled=true"), *given(tmp_path, {"settings": {"console": {"people": people}}})
    )
    (container,) = workloads(documents)["console"]["containers"]
    assert [one["name"] for one in container["env"] if "TOKEN" in one["name"]] == []
    text = configuration(documents, workloads(documents)["console"])
    environ = {one["name"]: one["value"] for one in container["env"]}
    put_secrets(tmp_path, "signing/shop")
    read = read_as_deployed(text, environ, folder=tmp_path)
    assert (list(read.console.people), read.console.host) == (["anna"], "0.0.0.0")  # noqa: S104 of the pod


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("ingest.autoscaling.enabled=true", "ingest.autoscaling.prometheus: name the Prometheus"),
        ("topics.strimzi.enabled=true", "topics.strimzi.cluster: name the Kafka object"),
        ("httpRoute.enabled=true", "httpRoute.parentRefs: name the Gateway"),
        ("certificate.enabled=true", "certificate.issuerRef: name the issuer"),
        ("certificate.enabled=true,certificate.issuerRef.name=x", "certificate.dnsNames: there is neither"),
        ("monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true", "would scrape every pod twice"),
        ("ingest.podLabels.a=1", "got number, want string"),
    ],
)
def test_half_a_wish_is_told_by_its_value(arguments: str, said: str) -> None:
    """What belongs together is asked for in one sentence."""
    assert said in rendered(*SMALL, "--set", arguments, succeeds=False)


def test_a_key_with_nothing_behind_it_is_refused_by_name_or_is_empty(tmp_path: Path) -> None:
    """Such a key takes the chart's default away. Without what it needs nothing is rendered; all others may be so."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    nothing: dict[str, Any] = {}
    for value in chart_values():
        place, left, (*parents, name) = schema, nothing, value.path.split(".")
        for parent in parents:
            place, left = place["properties"][parent], left.setdefault(parent, {})
        if name not in place["required"]:
            left[name] = None
    on = "console.enabled=true,reconcile.enabled=true,monitoring.rules.enabled=true,monitoring.dashboard.enabled=true"
    people = ("--set", "settings.console.people.anna.token=file:/run/secrets/dropstream/tokens/anna")
    emptied = manifests(*SMALL, "--set", on, *people, *given(tmp_path, nothing))
    assert {*workloads(emptied)} == {*PARTS}
    for path in ("ingest.replicas", "ingest.spool.size", "serviceAccount.create", "process.groups", "audit"):
        assert path.rpartition(".")[2] in rendered(*SMALL, "--set", f"{path}=null", succeeds=False)


def test_every_value_of_the_table_is_read_by_a_template() -> None:
    """No value does nothing: the last word of each path stands in a template."""
    text = "".join(file.read_text(encoding="utf-8") for file in (CHART / "templates").iterdir())
    words = {word for value in chart_values() for word in value.path.split(".")}
    # Names of probes are composed, those of objects written out.
    assert sorted(word for word in words if not re.search(rf"\b{word}\b", text)) == []


def test_every_part_reaches_kafka_at_the_ports_that_are_configured() -> None:
    """Those of the bootstrap servers are let out, each once; a value adds what the brokers name beside."""
    servers = r"settings.kafka.bootstrap_servers=one:9093\, two:9093\,three:19093"
    documents = manifests(*ALL_PARTS, "--set", servers, "--set", "networkPolicy.kafka.ports={19093,9192}")
    ports = [{"port": port, "protocol": "TCP"} for port in (19093, 9192, 9093)]
    policies = [one for one in documents if one["kind"] == "NetworkPolicy"]
    assert [one["spec"]["egress"][1] for one in policies] == [{"ports": ports}] * len(PARTS)
    (first, *_) = [one for one in manifests(*SMALL) if one["kind"] == "NetworkPolicy"]
    assert first["spec"]["egress"][1] == {"ports": [{"port": 9092, "protocol": "TCP"}]}


def test_egress_of_the_house_is_let_out(tmp_path: Path) -> None:
    """A token provider that is named may be called by every part."""
    rule = {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    documents = manifests(*ALL_PARTS, *given(tmp_path, {"networkPolicy": {"extraEgress": [rule]}}))
    policies = [one for one in documents if one["kind"] == "NetworkPolicy"]
    assert len(policies) == len(PARTS)
    assert [one["spec"]["egress"].count(rule) for one in policies] == [1] * len(PARTS)


def notes(tmp_path: Path, *arguments: str) -> str:
    """What Helm says after an install; without a cluster it renders no notes, so here they are a manifest's text."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    text = (chart / "templates" / "NOTES.txt").read_text(encoding="utf-8")
    manifest = '{{ define "notes" }}' + text + '{{ end }}kind: Notes\ntext: {{ include "notes" . | toJson }}\n'
    (chart / "templates" / "notes.yaml").write_text(manifest, encoding="utf-8")
    helm = (tool("helm"), "template", "dropstream", chart, "--kube-version", "1.33.0")
    found = run(*helm, "--show-only", "templates/notes.yaml", *arguments)
    (shown,) = read_yaml(found)
    return str(shown["text"])


@pytest.mark.parametrize(
    ("tls", "url"),
    [
        ("ingress.tlsSecret=", "http://hooks.example.com/webhooks/ENDPOINT, for neither"),
        ("ingress.tlsSecret=of-the-house", "https://hooks.example.com/webhooks/ENDPOINT."),
        ("certificate.enabled=true,certificate.issuerRef.name=letsencrypt", "https://hooks.example.com/webhooks"),
    ],
)
def test_the_notes_say_https_where_the_release_has_a_certificate(tls: str, url: str, tmp_path: Path) -> None:
    """What a person copies from the notes is an address that answers: http where nothing of the release ends TLS."""
    front = f"ingress.enabled=true,ingress.host=hooks.example.com,{tls}"
    assert f"From outside: {url}" in notes(tmp_path, *SMALL, "--set", front)
