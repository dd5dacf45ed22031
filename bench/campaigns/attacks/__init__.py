"""Attacks on a running server: the cost of each one, and a good client's latency meanwhile.

`catalogue` and `with_redis` list the attacks as data. `attacker` is a process that carries one of them out. `victim` runs the
server that is attacked, and reads its CPU time, its memory and its longest turn. `good_client` pushes and listens from another
address. `campaign` puts these together, and `table` writes what came out.
"""
