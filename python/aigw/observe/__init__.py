"""What gateways did: usage by the ledger."""
