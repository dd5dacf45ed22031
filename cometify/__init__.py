"""Cometify: a self-hosted web push service. A site's back end POSTs, every browser that listens has it a moment later."""

__version__ = "0.1.0"
