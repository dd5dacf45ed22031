"""GET or POST /{apiKey}/poll: a long poll is a listener that ends after its first write."""

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.frames import POLL, reconnect_frame
from cometify.core.group import Ask
from cometify.core.listener import Listener, State
from cometify.transports.http import Request
from cometify.transports.listening import ListeningEndpoint
from cometify.transports.node import Node


class PollListener(Listener):
    """Waits with its request until something can be answered."""

    __slots__ = ("_node", "_preface", "_request")
    form = POLL

    def __init__(self, node: Node, request: Request) -> None:
        super().__init__()
        self._node = node
        self._request = request
        self._preface = b""

    def offer(self, data: bytes) -> int:
        self._node.joining.part(self, comes_again=True)
        self._request.answer(200, b"application/x-ndjson", self._preface + data)
        return len(data)

    def preface(self, data: bytes) -> None:
        self._preface = data

    def wake(self) -> None:
        self.send = self.offer

    def beat(self, heartbeat: bytes) -> None:
        self.offer(heartbeat)

    def end(self, refused: Refused) -> None:
        if self.state is not State.GONE:
            self._node.joining.count_end(self, refused.code)
            self._node.joining.part(self)
            self._request.refuse(refused)

    def drain(self, after: int) -> None:
        self.offer(self.form.encode(reconnect_frame(after), None))


class PollEndpoint(ListeningEndpoint):
    """Who joins or is behind is answered at once, who resumes at the head waits."""

    def listen(self, request: Request, account: Account, ask: Ask) -> None:
        resumes = all(group.position is not None for group in ask.groups)
        joined = self.join(request, PollListener(self.node, request), account, ask, first=not resumes)
        joined.addErrback(self.failed, request)

    def gone(self, listener: Listener) -> None:
        if listener.state is not State.GONE:
            self.node.joining.part(listener, comes_again=True)
