"""Accounts that are kept in SQLite or Redis."""
