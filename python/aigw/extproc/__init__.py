"""The ext_proc host: the process that serves the core to any Envoy over gRPC."""
