"""Benchmark harness: what the gateway adds to Envoy, measured side by side."""
