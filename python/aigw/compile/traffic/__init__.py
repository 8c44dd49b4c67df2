"""ClientTrafficPolicies and BackendTrafficPolicies."""
