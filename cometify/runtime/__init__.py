"""The only room that reaches into the insides of Twisted, pyOpenSSL or CPython: event loop, sockets, TLS, garbage
collection, listening ports and worker processes.
"""
