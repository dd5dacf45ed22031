"""Commands to the Redis of a test, on a connection of their own."""

from tests.conftest import Redis
from tests.wire import Connection


def command(redis: Redis, *words: str) -> str:
    """Send one command. Returns the reply as it stands on the wire, for a bulk string its text."""
    with Connection(redis.port) as connection:
        encoded = [word.encode() for word in words]
        connection.send(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in encoded))
        line = connection.until(b"\r\n").decode()
        return connection.until(b"\r\n").decode() if line.startswith("$") and line != "$-1" else line
