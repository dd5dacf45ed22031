r"""An HTTP/1.1 server with two ways through it. It knows nothing of pushes.

# Theory of operation

twisted.web understands all of HTTP, and takes ten times as long to read a push as the push itself takes. So most
requests never reach it. A request that is **plain** is read here, by a parser that understands very little and does that
fast. Every other request is given to twisted.web, byte for byte as it was sent.

## Plain requests

A request is plain if its bytes can mean one thing only, and if answering it needs nothing but its bytes:

- GET or POST of HTTP/1.1, with a path of two or three simple segments and a query of printable ASCII;
- a head of at most 4 KiB, in which each header occurs once and is printable ASCII in one line;
- no header that changes how a request is framed or answered (Transfer-Encoding, Expect, TE ...);
- a body with a Content-Length of at most 64 KiB, or none if it is a GET;
- and an endpoint that allows it (`site.Endpoint.allows_fast_path`, `is_plain`).

Browsers, curl and the usual HTTP clients send such requests. `fast_parser` has the rules, and only ever says "plain" or
"not plain". It never refuses: a request that is wrong is not plain, and twisted.web knows how it is to be refused. The
fast path can therefore be too strict, which costs some time, but must never be too lenient.

## The life of a connection

`FastChannel` is the protocol of the connection. It owns the transport and every byte that was received and not read. It
takes one request after the other:

1. It looks for the end of the head. Without one the bytes wait, if they may become a plain request.
2. `fast_parser` reads the head. If it is plain, the rest of the body is waited for, and the endpoint gets a `FastRequest`.
3. If it is not plain, `ChannelTransport` gets the bytes. This is a stock HTTPChannel and the transport that we give it. The
   channel gets the bytes of this one request and nothing behind it. It makes a `twisted_request.Request`, and the
   endpoint gets that.
4. Bytes behind the request wait until it is answered, whichever way it was read. Above 16 KiB of them the peer is no
   longer read from. The next request is again read by the way that suits it.

While the peer does not read its answers no request is begun. A connection with many requests in one piece has some of
them answered, and then others have their turn.

The connection ends in one of three ways. It is closed: by the peer, behind an answer with `Connection: close`, or by
`idle_timeout`. Or an endpoint takes it over (`site.take_over`): a WebSocket or a stream gets the transport and the bytes
behind its request, and nothing of this package refers to it any longer. Or twisted.web refuses the bytes and closes it.

A peer may close its sending side and wait for answers (a half close). Its whole requests are answered, and then the
connection is closed. The request of a listener is not answered: see `ConnectionState.readConnectionLost`.

A client that polls sends the same request again and again with another position. The endpoint may register it
(`Exchange.expect_again`). Then `FastChannel` compares the next request with the last one, and parses neither.

## An example

A connection receives this in one piece. `...` stands for a Host header:

    POST /key/push/chat HTTP/1.1\r\n...Content-Length: 5\r\n\r\na=b&c        plain
    POST /key/push/chat HTTP/1.1\r\n...Transfer-Encoding: chunked\r\n\r\n    not plain
    3\r\na=b\r\n0\r\n\r\n
    GET /key/stream?identifiers=chat HTTP/1.1\r\n...\r\n                     plain

1. The first head is plain and 5 bytes are behind it. The endpoint gets a `FastRequest` and answers. Because bytes are left,
   the answer is written at once and not left in the batch of the reactor's turn.
2. The second head has a transfer coding. The HTTPChannel gets the bytes up to the empty line, and reads there that the
   body comes in chunks. It then gets the bytes up to the next empty line, which ends the body. Its request is answered.
3. The third head is plain. The stream's endpoint takes the connection over, and no bytes are left to pass on.

## Equal answers by both ways

Both ways give the endpoint an `Exchange`, and the endpoint does not know which it has. The parts that differ are small:
how a head is read (`fast_parser`; twisted.web) and how a response is written (`fast_response`; twisted.web). Three tests
hold them equal:

- `tests/contract/test_fast_and_twisted.py` sends generated requests, right and wrong ones, to two servers: as they are,
  and with a header that makes them not plain. Status, headers and body must be the same, and so must the pushes.
- The same file compares polls that are recognised on one connection with polls on new connections.
- `tests/http/test_fast_channel.py` cuts generated sequences of requests at any byte. Each request must get its own body,
  and no request may be told apart differently because of a cut.

A new rule about requests belongs into an endpoint, where both ways meet. If it must be in one of the ways it must be in
both, and in the first test.
"""
