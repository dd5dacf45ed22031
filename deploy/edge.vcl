# Varnish as the edge: it answers polls for public pushes, so that a server needs one poll for a whole audience.
#
# The account has `edge = true`, and the server names this machine in `trusted_proxies`. See docs/edge.md.
#
# Start it with room for the audience: each listener takes a connection, but no thread while it waits.
#
#   varnishd -f /etc/varnish/edge.vcl -a :80 -s malloc,256m -p rush_exponent=8 -p timeout_idle=60
#
# rush_exponent: a waiting listener that is woken wakes this many others. With the default of 3 a large audience takes longer.

vcl 4.1;

backend cometify {
    .host = "10.0.0.11";
    .port = "8081";
    .connect_timeout = 2s;
    # Well above `heartbeat`: a poll is answered after 25 s if nothing is pushed.
    .first_byte_timeout = 90s;
    .between_bytes_timeout = 90s;
}

sub vcl_recv {
    if (req.url !~ "^/[A-Za-z0-9_-]+/poll(\?|$)") {
        return (synth(404));
    }
    if (req.method != "GET") {
        return (synth(405));
    }
    # The answer to a key, a token or a listener id belongs to one listener. The server says so too.
    if (req.url ~ "[?&](secureKey|token|listener)=") {
        return (pass);
    }
    # Cookies and the headers of a client change no answer of the server.
    unset req.http.Cookie;
    unset req.http.Authorization;
    return (hash);
}

sub vcl_hash {
    # The whole query, and not the host: the audience may come by several names.
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_response {
    # Wait for the whole answer, which is small, before any listener gets it.
    set beresp.do_stream = false;
    # An old answer loses nothing, but the server has a newer one at once.
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    if (beresp.http.Cache-Control ~ "private") {
        # Refused, or only for who asked. The next listener who waits for this URL asks for all others.
        set beresp.ttl = 0s;
        return (deliver);
    }
    if (beresp.http.Cache-Control ~ "no-store") {
        # An account without `edge`: each listener has a poll of its own.
        set beresp.ttl = 60s;
        set beresp.uncacheable = true;
    }
    return (deliver);
}

sub vcl_backend_error {
    # The server does not answer. All who wait are told, and come back after a delay of their own.
    set beresp.ttl = 1s;
    set beresp.grace = 0s;
    set beresp.status = 503;
    set beresp.http.Content-Type = "application/problem+json";
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Retry-After = "2";
    set beresp.http.Access-Control-Allow-Origin = "*";
    set beresp.http.Access-Control-Expose-Headers = "Retry-After";
    set beresp.body = """{"status":503,"title":"The engine does not answer","detail":"The server behind this cache does not answer: come back.","code":"engine_unavailable"}
""";
    return (deliver);
}
