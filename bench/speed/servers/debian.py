"""The peers that are Debian packages: nchan and NATS."""

from pathlib import Path

from bench.speed import versions
from bench.speed.servers.server import Server, Workspace

_NGINX_PROGRAM = Path("/usr/sbin/nginx")
_NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_NATS_PROGRAM = Path("/usr/sbin/nats-server")
KEPT = 100
"""The number of messages that nchan keeps."""

_NGINX = """\
load_module {nchan};
daemon off;
pid {workspace.folder}/nginx.pid;
error_log stderr;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {workspace.folder}/body;
    proxy_temp_path {workspace.folder}/proxy;
    fastcgi_temp_path {workspace.folder}/fastcgi;
    uwsgi_temp_path {workspace.folder}/uwsgi;
    scgi_temp_path {workspace.folder}/scgi;
    keepalive_requests 1000000000;
    nchan_max_reserved_memory 256M;
    nchan_message_buffer_length {kept};
    server {{
        nchan_websocket_ping_interval 0;
        nchan_subscriber_first_message newest;
        listen 127.0.0.1:{workspace.port} backlog=4096;
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
    "listen 127.0.0.1:{workspace.tls} ssl backlog=4096;"
    " ssl_certificate {workspace.certificate.cert}; ssl_certificate_key {workspace.certificate.key};"
)
_NCHAN_EVENTS = ("--mode", "sse", "--path", "/events?id={identifier}", "--header", "Accept: text/event-stream")


def _nchan(workspace: Workspace) -> list[str]:
    tls = _NGINX_TLS.format(workspace=workspace) if workspace.certificate else ""
    config = workspace.write("nginx.conf", _NGINX.format(workspace=workspace, nchan=_NCHAN_MODULE, kept=KEPT, tls=tls))
    return [str(_NGINX_PROGRAM), "-p", str(workspace.folder), "-e", "stderr", "-c", config]


_LAST_KEPT = f".{KEPT - 1:010}."
"""The sequence number in the payload of the last kept message."""

NCHAN = Server(
    name="nchan",
    title="nchan, one worker",
    needs=(_NGINX_PROGRAM, _NCHAN_MODULE),
    setup_part="debian",
    many_identifiers=True,
    version=lambda _programs: versions.of_debian("libnginx-mod-nchan", "nginx"),
    command=_nchan,
    listen={
        "websocket": ("--path", "/websocket?id={identifier}"),
        "tls": ("--tls", "--port", "{tls}", "--path", "/websocket?id={identifier}"),
        "rejoin": ("--path", "/rejoin?id={identifier}", "--await", _LAST_KEPT),
        # nchan has no stream of lines. Its EventSource is compared with the streams of others.
        "stream": _NCHAN_EVENTS,
        "events": _NCHAN_EVENTS,
        "poll": (
            "--mode", "longpoll", "--path", "/poll?id={identifier}", "--capture", "h:Last-Modified", "--capture", "h:Etag",
            "--header", "If-Modified-Since: {C1}", "--header", "If-None-Match: {C2}",
        ),
    },
    publish=("--pub-path", "/pub?id={identifier}"),
)  # fmt: skip

_NATS = """\
listen: "127.0.0.1:{workspace.publisher_port}"
max_connections: 100000
websocket {{ listen: "127.0.0.1:{workspace.port}", no_tls: true }}
"""
_NATS_HELLO = r'CONNECT {"verbose":false,"pedantic":false}\r\n'

NATS = Server(
    name="nats",
    title="NATS over WebSocket",
    needs=(_NATS_PROGRAM,),
    setup_part="debian",
    version=lambda _programs: versions.of_debian("nats-server"),
    command=lambda workspace: [str(_NATS_PROGRAM), "-c", workspace.write("nats.conf", _NATS.format(workspace=workspace))],
    has_publisher_port=True,
    listen={
        "websocket": (
            "--bin", "--stream", "--await", "INFO", "--send", _NATS_HELLO + r"SUB bench 1\r\nPING\r\n",
            "--await", "PONG", "--reply", r"PING\r\n=>PONG\r\n",
        ),
    },
    # NATS has no HTTP. Its own protocol does not answer a publisher, so that it has no part in workloads with answers.
    publish=("--pub-ws", "--pub-await", "INFO", "--pub-send", _NATS_HELLO, "--pub-body", r"PUB bench {L}\r\n{P}\r\n"),
)  # fmt: skip
