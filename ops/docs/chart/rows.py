"""One value of the chart, what may stand there, and the values that every part's pods can be given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Shape = Mapping[str, Any]
# A part is a program of ours with pods of its own.
Part = Literal["ingest", "process", "audit", "reconcile", "console", "topics"]

TEXT: Shape = {"type": "string"}
FLAG: Shape = {"type": "boolean"}
TABLE: Shape = {"type": "object"}
TEXTS: Shape = {"type": "object", "additionalProperties": {"type": "string"}}
TABLES: Shape = {"type": "array", "items": {"type": "object"}}
WORDS: Shape = {"type": "array", "items": {"type": "string"}}
SIZE: Shape = {"type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$"}
INTERVAL: Shape = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}
DURATION: Shape = {"type": "string", "pattern": "^([0-9]+h[0-9]*m?|[0-9]+m)?$"}


def at_least(least: int, most: int | None = None) -> Shape:
    """A whole number within these bounds."""
    return {"type": "integer", "minimum": least, **({} if most is None else {"maximum": most})}


@dataclass(frozen=True, slots=True)
class ChartValue:
    """One value; `path` with dots. A default of None stands in no file: what is then done is said by `meaning`.

    With `is_section` it is a table whose keys are values of their own; it has neither default nor shape.
    """

    path: str
    default: Any
    shape: Shape
    meaning: str
    is_section: bool = False


def section(path: str, meaning: str) -> ChartValue:
    return ChartValue(path, None, {}, meaning, is_section=True)


def pod_values(part: Part, *, least: tuple[str, str], memory_max: str = "") -> Iterator[ChartValue]:
    """What every part's pods can be given; `least` is the CPU and the memory that they ask for."""
    resources = {"requests": dict(zip(("cpu", "memory"), least, strict=True))}
    resources |= {"limits": {"memory": memory_max}} if memory_max else {}

    def value(name: str, default: Any, shape: Shape, meaning: str) -> ChartValue:
        return ChartValue(f"{part}.{name}", default, shape, meaning)

    yield value("resources", resources, TABLE, "Requests and limits of the container.")
    yield value("annotations", {}, TEXTS, "Annotations of the object that makes the pods.")
    yield value("podAnnotations", {}, TEXTS, "Annotations of the pods.")
    yield value("podLabels", {}, TEXTS, "Labels of the pods; none of them selects.")
    yield value("priorityClassName", "", TEXT, "Who is evicted last.")
    yield value("hostUsers", None, {"type": ["boolean", "null"]}, "`false`: users of the pods are none of the node's.")
    yield value("nodeSelector", {}, TEXTS, "Nodes that may have the pods.")
    yield value("tolerations", [], TABLES, "Taints of nodes that the pods bear.")
    yield value("affinity", {}, TABLE, "Which nodes and neighbours the pods seek or shun.")
    if part in {"ingest", "process"}:
        yield value(
            "topologySpreadConstraints",
            [],
            TABLES,
            "How the pods spread. Empty: over nodes and zones, as evenly as can be. Where a constraint has no "
            "`labelSelector`, it counts the pods of this part.",
        )
    yield value("podSecurityContext", {}, TABLE, "Keys laid over the pods' own security context.")
    yield value("securityContext", {}, TABLE, "Keys laid over the container's own security context.")
    yield value("extraEnv", [], TABLES, "More variables, as in a container. The ingress needs no signing secret.")
    yield value("extraEnvFrom", [], TABLES, "ConfigMaps and Secrets whose keys become variables.")
    yield value("extraVolumes", [], TABLES, "More volumes.")
    yield value("extraVolumeMounts", [], TABLES, "Where the container has them.")
    yield value("initContainers", [], TABLES, "Containers that run before.")
    yield value("extraContainers", [], TABLES, "Containers that run beside.")


def worker_count(part: Part) -> ChartValue:
    """How many processes each pod of a part has."""
    return ChartValue(f"{part}.workers", 1, at_least(1, 64), "Processes in each pod; give the pod as many CPUs.")


def disruption_budget(part: Part) -> ChartValue:
    """How many pods of a part may be away together."""
    meaning = "How many pods may go at a time; `null` for no budget."
    return ChartValue(f"{part}.podDisruptionBudget", {"maxUnavailable": 1}, TABLE, meaning)


def probe_values(part: Part, why: str) -> Iterator[ChartValue]:
    yield section(f"{part}.probes", f"Keys laid over those of the probes; {why}.")
    for name in ("startup", "liveness", "readiness"):
        yield ChartValue(f"{part}.probes.{name}", {}, TABLE, f"Of the {name} probe.")
