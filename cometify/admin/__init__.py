"""Health, metrics and the console, for the operator. The endpoint is on loopback by default."""
