"""The values of each part: topics, ingress, processors, audit and console."""

from collections.abc import Iterator

from ops.docs.chart.rows import (
    FLAG,
    SIZE,
    TEXT,
    TEXTS,
    WORDS,
    ChartValue,
    at_least,
    disruption_budget,
    pod_values,
    probe_values,
    section,
    worker_count,
)


def topics_values() -> Iterator[ChartValue]:
    yield section("topics", "Who makes the topics.")
    yield ChartValue(
        "topics.enabled",
        True,
        FLAG,
        "Whether `dropstream topics apply` runs before each install and upgrade. It changes no number of partitions: "
        "it refuses, and so stops the upgrade, when `settings.kafka.partitions` is another than the cluster's.",
    )
    yield ChartValue(
        "topics.deadlineSeconds", 600, at_least(1), "How long it may take; then the install or upgrade has failed."
    )
    yield section("topics.strimzi", "Objects of Strimzi's topic operator.")
    yield ChartValue(
        "topics.strimzi.enabled",
        False,
        FLAG,
        "Whether a KafkaTopic is made for every topic. `topics apply` then runs afterwards, and notes the layout.",
    )
    yield ChartValue("topics.strimzi.cluster", "", TEXT, "The name of the Kafka object whose operator makes them.")
    yield ChartValue(
        "topics.strimzi.namespace", "", TEXT, "Where the operator looks for them; empty: the namespace of the release."
    )
    yield ChartValue("topics.strimzi.labels", {}, TEXTS, "More labels of the KafkaTopics.")
    yield from pod_values("topics", least=("50m", "128Mi"), memory_max="256Mi")


def ingest_values() -> Iterator[ChartValue]:
    yield section("ingest", "The HTTP ingress, a StatefulSet: each pod has a volume for its spool.")
    yield ChartValue("ingest.replicas", 3, at_least(1), "Pods; with autoscaling, the fewest.")
    yield worker_count("ingest")
    yield section("ingest.drain", "What a pod does before it is stopped.")
    yield ChartValue(
        "ingest.drain.timeoutSeconds",
        120,
        at_least(0),
        "How long it has to bring its spool to Kafka. What is left then stays on its volume.",
    )
    yield ChartValue(
        "ingest.drain.settleSeconds", 5, at_least(0), "For load balancers to hear that the pod is leaving."
    )
    yield section("ingest.spool", "The volume of the spool. It outlives its pod, scaling in, and the release.")
    yield ChartValue(
        "ingest.spool.size",
        "20Gi",
        SIZE,
        "How large it is: more than `workers` times `settings.ingest.spool_bytes_max` (10 GiB).",
    )
    yield ChartValue(
        "ingest.spool.storageClassName",
        "",
        TEXT,
        "Empty: the cluster's default. It must be a disk of its own that keeps what was fsynced.",
    )
    yield from _ingest_service()
    yield disruption_budget("ingest")
    yield from _ingest_scaling()
    yield from pod_values("ingest", least=("500m", "256Mi"), memory_max="768Mi")
    yield from probe_values("ingest", "the startup probe is long enough for a large spool of an older version")


def _ingest_service() -> Iterator[ChartValue]:
    yield section("ingest.service", "The service in front of all pods.")
    yield ChartValue(
        "ingest.service.type", "ClusterIP", {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}, "Its kind."
    )
    yield ChartValue("ingest.service.port", 80, at_least(1, 65_535), "Its port.")
    yield ChartValue("ingest.service.annotations", {}, TEXTS, "Its annotations.")
    yield ChartValue(
        "ingest.service.externalTrafficPolicy",
        "",
        {"enum": ["", "Cluster", "Local"]},
        "`Local` keeps the sender's address; for a LoadBalancer or NodePort. Empty: Kubernetes' default.",
    )
    yield ChartValue(
        "ingest.service.loadBalancerSourceRanges", [], WORDS, "Networks that a LoadBalancer lets in; empty for all."
    )


def _ingest_scaling() -> Iterator[ChartValue]:
    yield section(
        "ingest.autoscaling",
        "More pods by CPU, and fewer only while no spool holds anything: KEDA (2.12 or newer) with Prometheus.",
    )
    yield ChartValue("ingest.autoscaling.enabled", False, FLAG, "Whether KEDA sets the number of pods.")
    yield ChartValue("ingest.autoscaling.maxReplicas", 9, at_least(1), "The most pods.")
    yield ChartValue(
        "ingest.autoscaling.cpuUtilization", 70, at_least(1), "Percent of the requested CPU that a pod should use."
    )
    yield ChartValue(
        "ingest.autoscaling.scaleDownSeconds",
        900,
        at_least(1),
        "How long it must be quiet before one pod is taken away.",
    )
    yield ChartValue(
        "ingest.autoscaling.prometheus",
        "",
        {**TEXT, "pattern": "^(https?://.+)?$"},
        "The Prometheus that scrapes the ingress, such as http://prometheus.monitoring:9090. It must be there: while a "
        "spool holds deliveries, or Prometheus does not answer, no pod is taken away.",
    )
    yield ChartValue(
        "ingest.autoscaling.authenticationRef", "", TEXT, "A TriggerAuthentication, where Prometheus wants a login."
    )


def process_values() -> Iterator[ChartValue]:
    yield section("process", "The processors, a StatefulSet: each pod is a member of its groups by its own name.")
    yield ChartValue(
        "process.replicas",
        3,
        at_least(1),
        "Pods; with autoscaling, the fewest. More than `settings.kafka.partitions` have no work.",
    )
    yield worker_count("process")
    yield ChartValue(
        "process.groups",
        ["deliver", "sequence"],
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": ["deliver", "sequence"]}},
        "Which consumer groups.",
    )
    yield section(
        "process.state",
        "What is remembered of deliveries, a cache of what Kafka has, on a volume of the pod's own "
        "(`process.state_dir`); it is deleted with the pod's number.",
    )
    yield ChartValue(
        "process.state.size",
        "10Gi",
        SIZE,
        "Deliveries a second x hours of the window x 3,600 x 72 bytes, divided by the pods, and twice that for the "
        "time in which a pod is away. 10Gi are 480 a second for 3 pods.",
    )
    yield ChartValue("process.state.storageClassName", "", TEXT, "Empty: the cluster's default.")
    yield disruption_budget("process")
    yield from _process_scaling()
    yield from pod_values("process", least=("500m", "512Mi"), memory_max="2Gi")
    yield from probe_values("process", "a rolling update waits for readiness, so that one pod at a time is away")


def _process_scaling() -> Iterator[ChartValue]:
    yield section("process.autoscaling", "The number of pods by lag, with KEDA (2.12 or newer).")
    yield ChartValue("process.autoscaling.enabled", False, FLAG, "Whether KEDA sets the number of pods.")
    yield ChartValue("process.autoscaling.maxReplicas", 12, at_least(1), "The most pods.")
    yield ChartValue(
        "process.autoscaling.lagPerReplica",
        20000,
        at_least(1),
        "Records of the groups' topics not yet processed for which one more processor is worth a rebalance.",
    )
    yield ChartValue(
        "process.autoscaling.scaleDownSeconds", 600, at_least(1), "How long lag must stay low before one is taken away."
    )
    yield ChartValue(
        "process.autoscaling.authenticationRef",
        "",
        TEXT,
        "A TriggerAuthentication, where the cluster wants SASL or TLS.",
    )
    yield ChartValue(
        "process.autoscaling.metadata",
        {},
        TEXTS,
        "More of the Kafka trigger, such as `{sasl: scram_sha512, tls: enable}`.",
    )


def audit_values() -> Iterator[ChartValue]:
    yield section(
        "audit",
        "`dropstream audit --since-last` judges again what came since the last clean audit. The processors export its "
        "verdict and its age, and three alarms read them.",
    )
    yield ChartValue("audit.enabled", True, FLAG, "Whether it runs; what nobody audits is not known to be right.")
    yield ChartValue(
        "audit.schedule", "17 * * * *", {**TEXT, "minLength": 1}, "When, as in cron. The first judges all."
    )
    yield ChartValue("audit.workers", 1, at_least(1, 64), "Processes that share the work.")
    yield ChartValue(
        "audit.memoryMegabytes",
        256,
        at_least(128),
        "What each may take; the limit of the pod's memory follows from both.",
    )
    yield ChartValue(
        "audit.diskSize", "8Gi", SIZE, "For what it remembers, some 60 bytes of each delivery, on the node's disk."
    )
    yield from pod_values("audit", least=("100m", "256Mi"))


def reconcile_values() -> Iterator[ChartValue]:
    yield section(
        "reconcile",
        "`dropstream reconcile --watch` fetches what was lost from the API of endpoints with `reconcile: automatic`, "
        "and looks at the ends of sequences. It may connect to port 443 anywhere, as the console where an endpoint "
        "has an `api`.",
    )
    yield ChartValue("reconcile.enabled", False, FLAG, "Whether it runs.")
    yield from pod_values("reconcile", least=("50m", "128Mi"), memory_max="512Mi")


def console_values() -> Iterator[ChartValue]:
    yield section("console", "The operations page.")
    yield ChartValue("console.enabled", False, FLAG, "Whether it runs.")
    yield ChartValue(
        "console.tokenSecret",
        {"name": "", "key": "token"},
        {"type": "object", "additionalProperties": False, "properties": {"name": TEXT, "key": TEXT}},
        "A Secret that exists, and its key: a token that several people share. Not needed where `settings.console` has "
        "`people` or `proxy_login`.",
    )
    yield ChartValue(
        "console.names", [], WORDS, "Host names by which a browser may call it, where a proxy is in front."
    )
    yield ChartValue("console.service.annotations", {}, TEXTS, "Annotations of its service.")
    yield from pod_values("console", least=("50m", "256Mi"), memory_max="512Mi")
