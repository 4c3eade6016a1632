"""Generates documents for readers from the code: JSON Schemas, AsyncAPI, the topics page, the metrics table."""
