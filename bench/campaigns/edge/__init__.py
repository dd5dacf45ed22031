"""An audience that polls a server through a cache: the load that is left at the server, and the time that the cache adds."""
