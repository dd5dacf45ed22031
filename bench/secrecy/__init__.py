"""Secrecy: what the time of a join tells of secret pushes."""
