"""The soak: a server under listeners and publishers that come and go in every way, to see that nothing grows."""
