"""Rolling restarts behind each load balancer of `deploy/`, with listeners alone and with pushes.

Three nodes share a Redis. They are restarted one after the other while visitors on all transports follow. Each visitor waits as
a page's client does before it comes back. Every push must reach every visitor once, and no visitor may be deaf for long.
"""
