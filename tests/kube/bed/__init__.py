"""The Kubernetes bed: API server, controller manager, Envoy Gateway, pods as local processes."""
