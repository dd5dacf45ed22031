"""The peers of Debian's packages."""

from pathlib import Path

from bench.speed import versions
from bench.speed.servers.server import Place, Server

_NGINX_PROGRAM = Path("/usr/sbin/nginx")
_NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_NATS_PROGRAM = Path("/usr/sbin/nats-server")
KEPT = 100
"""Messages that nchan keeps."""

_NGINX = """\
load_module {nchan};
daemon off;
pid {place.folder}/nginx.pid;
error_log stderr;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {place.folder}/body;
    proxy_temp_path {place.folder}/proxy;
    fastcgi_temp_path {place.folder}/fastcgi;
    uwsgi_temp_path {place.folder}/uwsgi;
    scgi_temp_path {place.folder}/scgi;
    keepalive_requests 1000000000;
    nchan_max_reserved_memory 256M;
    nchan_message_buffer_length {kept};
    server {{
        nchan_websocket_ping_interval 0;
        nchan_subscriber_first_message newest;
        listen 127.0.0.1:{place.port} backlog=4096;
        {tls}
        location = /pub {{ nchan_publisher; nchan_channel_id $arg_id; }}
        location = /websocket {{ nchan_subscriber websocket; nchan_channel_id $arg_id; }}
        location = /events {{ nchan_subscriber eventsource; nchan_channel_id $arg_id; }}
        location = /poll {{ nchan_subscriber longpoll; nchan_channel_id $arg_id; }}
        location = /rejoin {{
            nchan_subscriber websocket;
            nchan_channel_id $arg_id;
            nchan_subscriber_first_message oldest;
        }}
    }}
}}
"""
_NGINX_TLS = (
    "listen 127.0.0.1:{place.tls} ssl backlog=4096;"
    " ssl_certificate {place.certificate.cert}; ssl_certificate_key {place.certificate.key};"
)
_NCHAN_EVENTS = ("--mode", "sse", "--path", "/events?id={identifier}", "--header", "Accept: text/event-stream")


def _nchan(place: Place) -> list[str]:
    tls = _NGINX_TLS.format(place=place) if place.certificate else ""
    config = place.write("nginx.conf", _NGINX.format(place=place, nchan=_NCHAN_MODULE, kept=KEPT, tls=tls))
    return [str(_NGINX_PROGRAM), "-p", str(place.folder), "-e", "stderr", "-c", config]


_LAST_KEPT = f".{KEPT - 1:010}."  # stands in the last of them

NCHAN = Server(
    name="nchan",
    title="nchan, one worker",
    needs=(_NGINX_PROGRAM, _NCHAN_MODULE),
    part="debian",
    several=True,
    version=lambda _programs: versions.of_debian("libnginx-mod-nchan", "nginx"),
    command=_nchan,
    listen={
        "websocket": ("--path", "/websocket?id={identifier}"),
        "tls": ("--tls", "--port", "{tls}", "--path", "/websocket?id={identifier}"),
        "rejoin": ("--path", "/rejoin?id={identifier}", "--await", _LAST_KEPT),
        "stream": _NCHAN_EVENTS,  # it has no stream of lines: its EventSource is what stream is compared with
        "events": _NCHAN_EVENTS,
        "poll": (
            "--mode", "longpoll", "--path", "/poll?id={identifier}", "--capture", "h:Last-Modified", "--capture", "h:Etag",
            "--header", "If-Modified-Since: {C1}", "--header", "If-None-Match: {C2}",
        ),
    },
    publish=("--pub-path", "/pub?id={identifier}"),
)  # fmt: skip

_NATS = """\
listen: "127.0.0.1:{place.second}"
max_connections: 100000
websocket {{ listen: "127.0.0.1:{place.port}", no_tls: true }}
"""
_NATS_HELLO = r'CONNECT {"verbose":false,"pedantic":false}\r\n'

NATS = Server(
    name="nats",
    title="NATS over WebSocket",
    needs=(_NATS_PROGRAM,),
    part="debian",
    version=lambda _programs: versions.of_debian("nats-server"),
    command=lambda place: [str(_NATS_PROGRAM), "-c", place.write("nats.conf", _NATS.format(place=place))],
    second=True,
    listen={
        "websocket": (
            "--bin", "--stream", "--await", "INFO", "--send", _NATS_HELLO + r"SUB bench 1\r\nPING\r\n",
            "--await", "PONG", "--reply", r"PING\r\n=>PONG\r\n",
        ),
    },
    # It has no HTTP: it is published to over its own protocol, which does not answer, and is left out of those works.
    publish=("--pub-ws", "--pub-await", "INFO", "--pub-send", _NATS_HELLO, "--pub-body", r"PUB bench {L}\r\n{P}\r\n"),
)  # fmt: skip
