"""A TOML file and command-line options become frozen settings and accounts."""
