"""The soak: a server under listeners and publishers that come and go in every way, and whether anything grows."""
