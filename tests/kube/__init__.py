"""Tests that need Kubernetes: a real API server and a real Envoy Gateway, without containers."""
