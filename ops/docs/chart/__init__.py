"""The Helm chart's values, topics and page, made from one table: `python -m ops.docs.chart.write`."""
