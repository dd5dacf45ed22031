"""What decides. Standard library and attrs only: no Twisted, no clock, no sockets, no logging, no randomness."""
