"""HTTPRoutes: plain proxying beside the API."""
