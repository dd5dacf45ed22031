"""Cometify and its peers, measured by turns in one run."""
