"""Health, metrics and the inspector, for the operator. The endpoint is on loopback by default."""
