"""The Helm chart: what it renders is valid, starts, may do nothing that it need not, and stops without a loss."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from tests.support.deployment import (
    CHART,
    DEPLOY,
    put_secrets,
    read_as_deployed,
    read_yaml,
    rendered,
    run,
)
from tests.support.tools import tool

MANAGED = ("--values", CHART / "values-managed-kafka.yaml")
ENDPOINT = '{"shop":{"provider":"shipstream","secrets":["file:/run/secrets/dropstream/signing/shop"]}}'
SMALL = ("--set-json", f"settings.endpoints={ENDPOINT}", "--set", "secrets.signing=signing")
CONSOLE = ("--set", "console.enabled=true,console.tokenSecret.name=console,console.names={ops.example.com}")
RULES = "groups:\n  - name: dropstream\n    rules:\n      - {alert: Silent, expr: up == 0}\n"
# Everything that can be switched on at once.
FULL = (
    *("--set", "reconcile.enabled=true"),
    *(*MANAGED, *CONSOLE, "--set", "ingest.autoscaling.enabled=true,ingest.autoscaling.prometheus=http://metrics:9090"),
    *("--set", "topics.strimzi.enabled=true,topics.strimzi.cluster=events,certificate.enabled=true"),
    *("--set", "certificate.issuerRef.name=letsencrypt,httpRoute.enabled=true,httpRoute.parentRefs[0].name=front"),
    *("--set", "monitoring.serviceMonitor.enabled=false,monitoring.podMonitor.enabled=true,ingress.tlsSecret="),
)
VARIANTS = [SMALL, (*SMALL, *CONSOLE), MANAGED, (*MANAGED, *CONSOLE, "--set", "ingest.workers=4"), FULL]
VERIFIES = {"process", "console", "audit", "reconcile"}
# Of operators that a cluster may have or not; their shape is theirs.
FOREIGN = {
    *("ScaledObject", "ServiceMonitor", "PodMonitor", "PrometheusRule"),
    *("HTTPRoute", "Certificate", "KafkaTopic"),
}

every_variant = pytest.mark.parametrize(
    "arguments", VARIANTS, ids=["small", "small-console", "managed", "managed-all", "full"]
)


def manifests(*arguments: str | Path) -> list[Any]:
    return read_yaml(rendered(*arguments))


def templates(documents: list[Any]) -> dict[str, Any]:
    """What makes pods, by the name of what has it: each with its labels and the pod's own text."""
    jobs = {one["metadata"]["name"]: one["spec"]["jobTemplate"] for one in documents if one["kind"] == "CronJob"}
    kinds = {"StatefulSet", "Deployment", "Job"}
    found = {one["metadata"]["name"]: one for one in documents if one["kind"] in kinds} | jobs
    return {name: one["spec"]["template"] for name, one in found.items()}


def workloads(documents: list[Any]) -> dict[str, Any]:
    """The pod of each part, by the part's name."""
    pods = [one["spec"] for one in templates(documents).values()]
    return {pod["containers"][0]["name"]: pod for pod in pods}


def of_kind(documents: list[Any], kind: str, ending: str = "") -> Any:
    (found,) = [one for one in documents if one["kind"] == kind and one["metadata"]["name"].endswith(ending)]
    return found


@every_variant
def test_kubernetes_takes_every_manifest(arguments: tuple[str | Path, ...]) -> None:
    """Each validates, strictly, against Kubernetes' own schema; no two share kind and name."""
    documents = manifests(*arguments)
    program = (
        "import json, sys, kubernetes_validate as k\n"
        "for one in json.load(sys.stdin): k.validate(one, k.latest_version(), strict=True)"
    )
    own = [one for one in documents if one["kind"] not in FOREIGN]
    run(tool("python"), "-c", program, given=json.dumps(own))
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]
    assert len(set(names)) == len(names) > 10


@pytest.mark.parametrize("arguments", [(), MANAGED], ids=["defaults", "managed"])
def test_helm_finds_nothing_to_say(arguments: tuple[str | Path, ...]) -> None:
    """`helm lint`, strictly: no fault, no warning and no advice, with the chart's own values and with an example's."""
    said = run(tool("helm"), "lint", "--strict", CHART, "--kube-version", "1.33.0", *arguments)
    assert not re.findall(r"\[(?:INFO|WARNING|ERROR)\].*", said)


@every_variant
def test_every_part_starts_with_what_it_is_given(arguments: tuple[str | Path, ...], tmp_path: Path) -> None:
    """Each pod's file, variables and mounted secrets are a configuration without a fault."""
    documents = manifests(*arguments)
    for name, pod in workloads(documents).items():
        folder = tmp_path / name
        put_secrets(folder, *mounted_secrets(pod))
        text = configuration(documents, pod)
        (container,) = pod["containers"]
        environ = dict(variables(container))
        if name == "console" and "console" not in Settings.model_fields:
            environ = {key: value for key, value in environ.items() if "CONSOLE__" not in key}
        read = read_as_deployed(text, environ, folder=folder, signing_secrets=name in VERIFIES)
        assert (read.ingest.admin_port, read.process.admin_port) == (8081, 8082)
        assert read.ingest.spool_dir == "/var/lib/dropstream/spool"
        assert read.process.state_dir == "/var/lib/dropstream/state"


def mounted_secrets(pod: Any) -> Iterator[str]:
    keys = {
        "signing": ("shop", "shipstream-acme", "modern-dropship"),
        "tokens": ("modern-dropship",),
        "kafka": ("password", "ca.crt"),
    }
    mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    for volume in pod["volumes"]:
        if "secret" in volume:
            assert mounts[volume["name"]] == f"/run/secrets/dropstream/{volume['name']}"
            yield from (f"{volume['name']}/{key}" for key in keys[volume["name"]])


def configuration(documents: list[Any], pod: Any) -> str:
    (name,) = [one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one]
    (found,) = [one for one in documents if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name]
    text: str = found["data"]["dropstream.toml"]
    return text


def variables(container: Any) -> Iterator[tuple[str, str]]:
    for one in container.get("env", ()):
        yield one["name"], one.get("value", "dropstream-process-0")


@every_variant
def test_no_pod_may_do_what_it_need_not(arguments: tuple[str | Path, ...]) -> None:
    """Not root, no way to become it, nothing to write but volumes, no capability, no token of the cluster, bounded."""
    for pod in workloads(manifests(*arguments)).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        user = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001}
        assert user.items() <= pod["securityContext"].items()
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "privileged": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["cpu"]


@every_variant
def test_only_who_verifies_knows_what_signs(arguments: tuple[str | Path, ...]) -> None:
    """The ingress and the topics' job, nearest to strangers or to nothing, are not given the signing secrets."""
    for name, pod in workloads(manifests(*arguments)).items():
        kinds = {volume["name"] for volume in pod["volumes"] if "secret" in volume}
        assert ("signing" in kinds) is (name in VERIFIES)


def test_an_ingress_is_given_the_time_that_it_is_promised() -> None:
    """The pod's last second comes after settling, draining, answering what is in flight, and closing."""
    pod = workloads(manifests(*SMALL, "--set", "ingest.drain.timeoutSeconds=300,settings.ingest.stop_grace_ms=20000"))
    ingest = pod["ingest"]
    (container,) = ingest["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == [
        "sh",
        "-c",
        "sleep 5; exec dropstream drain --admin 127.0.0.1:8081 --timeout 300",
    ]
    assert ingest["terminationGracePeriodSeconds"] == 5 + 300 + 20 + 15
    assert {one["mountPath"] for one in container["volumeMounts"]} >= {"/var/lib/dropstream/spool", "/tmp"}  # noqa: S108


def test_a_spool_outlives_its_pod_and_its_set() -> None:
    """Neither scaling in nor uninstalling deletes a volume, and at most one pod is taken away at a time."""
    documents = manifests(*SMALL)
    ingest = of_kind(documents, "StatefulSet", "-ingest")["spec"]
    assert ingest["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert [one["metadata"]["name"] for one in ingest["volumeClaimTemplates"]] == ["spool"]
    assert of_kind(documents, "PodDisruptionBudget", "-ingest")["spec"]["maxUnavailable"] == 1


def test_a_processor_remembers_on_a_volume_of_its_own() -> None:
    """As large as it is told, where the configuration says, and gone with the set: Kafka has all of it."""
    documents = manifests(*SMALL, "--set", "process.state.size=7Gi")
    process = of_kind(documents, "StatefulSet", "-process")["spec"]
    (claim,) = process["volumeClaimTemplates"]
    assert (claim["metadata"]["name"], claim["spec"]["resources"]["requests"]) == ("state", {"storage": "7Gi"})
    (container,) = process["template"]["spec"]["containers"]
    assert {"name": "state", "mountPath": "/var/lib/dropstream/state"} in container["volumeMounts"]
    assert process["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Delete"}


def test_a_processor_is_a_member_by_its_pods_name() -> None:
    """Each replica has a name of its own that its successor has too, and a session longer than a restart."""
    documents = manifests(*SMALL)
    (container,) = workloads(documents)["process"]["containers"]
    assert container["env"] == [
        {"name": "DROPSTREAM_PROCESS__INSTANCE_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    ]
    assert container["args"] == ["process", "deliver", "sequence", "--workers", "1"]
    assert "session_timeout_ms = 45000\n" in configuration(documents, workloads(documents)["process"])


def test_lag_decides_how_many_processors_there_are() -> None:
    """With autoscaling the number is KEDA's alone, from the lag of what each of its groups reads."""
    documents = manifests(*MANAGED, "--set", "settings.kafka.topic_prefix=shop.")
    assert "replicas" not in of_kind(documents, "StatefulSet", "-process")["spec"]
    scaled = of_kind(documents, "ScaledObject")["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (3, 24)
    read = [(one["metadata"]["consumerGroup"], one["metadata"]["topic"]) for one in scaled["triggers"]]
    assert read == [("shop.deliver", "shop.raw"), ("shop.sequence", "shop.sequence")]
    assert {one["metadata"]["lagThreshold"] for one in scaled["triggers"]} == {"20000"}


def test_the_topics_are_there_before_the_first_processor() -> None:
    """The job and its own configuration run before each install and upgrade."""
    documents = manifests(*SMALL)
    for kind in ("Job", "ConfigMap", "NetworkPolicy"):
        hook = of_kind(documents, kind, "-topics")["metadata"]["annotations"]
        assert hook["helm.sh/hook"] == "pre-install,pre-upgrade"


def test_an_audit_comes_every_hour_and_one_at_a_time() -> None:
    """It goes on where the last clean one ended, is not tried again for what it finds, and fits into its memory."""
    documents = manifests(*SMALL, "--set", "audit.workers=3,audit.memoryMegabytes=512")
    job = of_kind(documents, "CronJob", "-audit")["spec"]
    assert (job["schedule"], job["concurrencyPolicy"]) == ("17 * * * *", "Forbid")
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = workloads(documents)["audit"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["args"] == ["audit", "--since-last", "--workers", "3", "--memory", "512"]
    assert container["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1792M"}}
    # What does not fit into the memory lies on a disk.
    (volume,) = [one for one in pod["volumes"] if one["name"] == "tmp"]
    assert volume["emptyDir"] == {"sizeLimit": "8Gi"}


def test_an_audit_can_be_left_out_and_given_other_bounds() -> None:
    """Without it nothing of it is left; limits of the person's own stand over those that are reckoned."""
    without = manifests(*SMALL, "--set", "audit.enabled=false")
    assert [one["metadata"]["name"] for one in without if one["metadata"]["name"].endswith("-audit")] == []
    (container,) = workloads(manifests(*SMALL, "--set", "audit.resources.limits.memory=3Gi"))["audit"]["containers"]
    assert container["resources"]["limits"] == {"memory": "3Gi"}


def test_every_label_selects_its_own_part_and_no_other() -> None:
    """Services, budgets and policies meet the pods that they are named for."""
    documents = manifests(*SMALL, *CONSOLE)
    pods = {name: one["metadata"]["labels"] for name, one in templates(documents).items()}
    for one in documents:
        spec = one.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector"))
        if not selector or one["kind"] == "ServiceMonitor":
            continue
        wanted = selector.get("matchLabels", selector)
        met = [name for name, labels in pods.items() if wanted.items() <= labels.items()]
        assert met == [one["metadata"]["name"].removesuffix("-pods")], one["metadata"]["name"]


def test_alarms_come_from_their_own_file(tmp_path: Path) -> None:
    """The rules that the tests of Prometheus hold are the ones that are installed, untouched."""
    file = DEPLOY / "prometheus" / "rules.yaml"
    text = file.read_text(encoding="utf-8") if file.exists() else RULES
    given = tmp_path / "rules.yaml"
    given.write_text(text, encoding="utf-8")
    documents = manifests(*MANAGED, "--set-file", f"monitoring.rules.content={given}")
    assert [of_kind(documents, "PrometheusRule")["spec"]] == read_yaml(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "settings.endpoints: name at least one endpoint"),
        ((*SMALL, "--set", "ingest.replica=3"), "additional properties 'replica' not allowed"),
        (
            (*SMALL, "--set", "settings.ingest.spool_dir=/x"),
            "/settings/ingest': additional properties 'spool_dir' not allowed",
        ),
        (
            (*SMALL, "--set", "settings.process.comit_interval_ms=1"),
            "additional properties 'comit_interval_ms' not allowed",
        ),
        ((*SMALL, "--set", "settings.console.port=1"), "/settings/console': additional properties 'port' not allowed"),
        ((*SMALL, "--set", "settings.shipstream.acme.api_key=plain"), "does not match pattern '^(env|file):.+$'"),
        ((*SMALL, "--set", "settings.kafka.password=plain"), "does not match pattern '^(env|file):.+$'"),
        ((*SMALL, "--set", "console.enabled=true"), "name the Secret that holds the console's token"),
        ((*SMALL, "--set", "ingest.workers=0"), "minimum: got 0, want 1"),
        ((*SMALL, "--set", "audit.memoryMegabytes=64"), "minimum: got 64, want 128"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_installed(arguments: tuple[str, ...], said: str) -> None:
    """Each fault by its place, from the chart's own schema."""
    assert said in rendered(*arguments, succeeds=False)


def test_settings_reach_the_file_as_they_are_meant(tmp_path: Path) -> None:
    """Whole numbers stay whole, times are times, hostile text stays text, and null is left out."""
    settings = {
        "ingest": {"spool_bytes_max": 10_737_418_240, "stop_grace_ms": None, "trusted_proxies": ["10.0.0.0/8"]},
        "kafka": {"bootstrap_servers": "a:1", "username": 'q"\\\n[kafka]\nx = "<é'},
        "endpoints": {
            "a.b": {
                "provider": "shipstream",
                "rate_per_second": 0.5,
                "secrets": [{"value": "env:S", "expires": "2027-01-01T00:00:00Z"}, "env:S"],
            }
        },
    }
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({"settings": settings}), encoding="utf-8")
    documents = manifests("--values", values)
    text = configuration(documents, workloads(documents)["process"])
    read = read_as_deployed(text, {"S": "secret"}, folder=tmp_path)
    assert (read.ingest.spool_bytes_max, read.kafka.username) == (10_737_418_240, 'q"\\\n[kafka]\nx = "<é')
    assert [str(one.expires) for one in read.endpoints["a.b"].secrets] == ["2027-01-01 00:00:00+00:00", "None"]
    assert read.endpoints["a.b"].rate_per_second == 0.5


def test_a_missing_key_of_a_secret_is_told_at_the_start(tmp_path: Path) -> None:
    """What Kubernetes cannot know, the part says: the reference that leads nowhere."""
    documents = manifests(*SMALL)
    text = configuration(documents, workloads(documents)["process"])
    with pytest.raises(ConfigurationError, match="signing/shop"):
        read_as_deployed(text, {}, folder=tmp_path)
