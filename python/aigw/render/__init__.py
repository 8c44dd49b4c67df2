"""A `Plan` in the form that a data plane reads."""
