"""Records traces with OpenTelemetry, and sends them by OTLP, where the standard variables say to where."""
