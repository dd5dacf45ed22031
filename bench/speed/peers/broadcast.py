"""The websockets library as it comes, with its broadcast(): python broadcast.py PORT PUBLISH_PORT.

A POST to PUBLISH_PORT sends its body to every listener. The library does not read bodies of requests; therefore the
publisher's side is the least code that understands a POST.
"""

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

listeners: set[ServerConnection] = set()


async def listen(listener: ServerConnection) -> None:
    """Hold one listener until it goes."""
    listeners.add(listener)
    try:
        await listener.wait_closed()
    finally:
        listeners.discard(listener)


async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one publisher's connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            broadcast(listeners, (await reader.readexactly(length)).decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int, publish_port: int) -> None:
    """Serve until the process is ended."""
    async with serve(listen, "127.0.0.1", port, compression=None, backlog=4096):
        publishers = await asyncio.start_server(publish, "127.0.0.1", publish_port)
        await publishers.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
