"""GET /{apiKey}/events: an event stream (WHATWG HTML, section 9.2), for EventSource and `curl -N`."""

from cometify.core.account import Account
from cometify.core.encodings import EVENTS, EVENTS_UNCHUNKED, RAW_EVENTS, RAW_EVENTS_UNCHUNKED
from cometify.core.errors import Refused
from cometify.core.frames import error_frame
from cometify.core.listen_request import ListenRequest, listen_request_from_query, wants_raw_events
from cometify.http.exchange import Exchange, refuse
from cometify.transports.http_listener import OpenEndpoint
from cometify.transports.stream import StreamListener


class EventsEndpoint(OpenEndpoint):
    """Blocks of an event stream. The browser comes back by itself, with the `id` of the last frame that had one."""

    methods = (b"GET",)
    content_type = b"text/event-stream"

    def listener(self, request: Exchange) -> StreamListener:
        whole, chunked = _FORMS[wants_raw_events(request.query())]
        return StreamListener(self.context, chunked if request.is_http_1_1 else whole)

    def listen_request(self, request: Exchange, account: Account) -> ListenRequest:
        query = request.query()
        wants_raw_events(query)
        return listen_request_from_query(query, request.header("last-event-id") or None, account.spelling)

    def refuse(self, request: Exchange, refused: Refused) -> None:
        if refused.retry is None:
            refuse(request, refused)
            return
        # A refusal that may be tried again is a 200, because EventSource gives up for good at any other status.
        encoding = _FORMS[wants_raw_events(request.query())][0]
        frame = encoding.encode(error_frame(refused), None)
        request.answer(200, self.content_type, b"retry: %d\n%b" % (refused.retry * 1000, frame))


_FORMS = {False: (EVENTS_UNCHUNKED, EVENTS), True: (RAW_EVENTS_UNCHUNKED, RAW_EVENTS)}
"""The encodings of both forms: as they are, and in chunks."""
