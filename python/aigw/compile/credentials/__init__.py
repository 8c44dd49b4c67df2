"""BackendSecurityPolicies: credentials for providers."""
