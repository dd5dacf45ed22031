"""What operators ask, on loopback by default."""
