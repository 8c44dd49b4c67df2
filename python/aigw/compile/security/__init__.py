"""SecurityPolicies: who may call."""
