"""Every value of the Helm chart in one table: where it stands, its default, what may stand there, what it means.

`values.yaml`, `values.schema.json` and `docs/chart.md` are made from it (`make settings`), so no value is without a
sentence, and none is in one of the three alone. What the templates make of the values stands in the chart itself.
"""

from ops.docs.chart.around_values import front_values, monitoring_values, network_values
from ops.docs.chart.part_values import (
    audit_values,
    console_values,
    ingest_values,
    process_values,
    reconcile_values,
    topics_values,
)
from ops.docs.chart.rows import ChartValue
from ops.docs.chart.whole_values import settings_values, whole_values


def chart_values() -> tuple[ChartValue, ...]:
    """All of them, in the order in which a person reads them."""
    return (
        *whole_values(),
        *settings_values(),
        *topics_values(),
        *ingest_values(),
        *front_values(),
        *process_values(),
        *audit_values(),
        *reconcile_values(),
        *console_values(),
        *network_values(),
        *monitoring_values(),
    )
