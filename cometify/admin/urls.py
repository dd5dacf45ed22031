"""The URL tree of the admin endpoint, which is for the operator of the server and nobody else."""

from collections.abc import Callable, Iterable, Mapping

from cometify.admin.console_page import page_endpoints
from cometify.admin.health import HealthEndpoint, WhyNot
from cometify.admin.operator_urls import OperatorUrls
from cometify.admin.own_host import OwnHost
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint, Tree

_SIGNED = {3: ("push",), 4: ("identifiers",)}
"""By the length of a path: the second segment of signed requests. They are a push, and the kept pushes of an identifier."""
_PAGE = ("",)
"""The path of the console's page."""


class _Nowhere(Endpoint):
    methods = (b"GET", b"HEAD")

    def serve(self, request: Exchange) -> None:
        raise Refused(
            errors.NOT_FOUND,
            "There is nothing at this path. See /, /accounts, /inspect, /metrics, /health/live and /health/ready.",
        )


class AdminRoot(Tree):
    """All paths of the admin endpoint.

    /health answers under every host name, because load balancers send names of their own. Its answers hold a status and one
    of a few reasons, so that a page of a stranger learns nothing else. All other paths answer under the operator's hosts.

    `ready`: returns the reason why no work should be sent here. `metrics`, `inspect`: the endpoints at these paths.
    `console`: those of the console, by their path. `signed(path)`: the endpoint of a signed request of a back end, or None. A
    page may read an answer of its own origin alone, so the console sends its pushes here.
    `hosts`: see the setting `admin_hosts`. `operator`: the paths of accounts. `ready_in_part`: see `HealthEndpoint`.
    """

    def __init__(
        self,
        ready: WhyNot,
        metrics: Endpoint,
        inspect: Endpoint,
        hosts: Iterable[str],
        console: Mapping[tuple[str, ...], Endpoint],
        signed: Callable[[tuple[str, ...]], Endpoint],
        operator: OperatorUrls,
        ready_in_part: Callable[[], str | None] = lambda: None,
    ) -> None:
        super().__init__()
        self._operator = operator
        own = frozenset(map(str.lower, hosts))
        figures = {path: operator.guard(endpoint) for path, endpoint in {**console, ("inspect",): inspect}.items()}
        endpoints = {**dict(page_endpoints()), **figures, ("metrics",): metrics}
        self._endpoints: dict[tuple[str, ...], Endpoint] = {
            **{path: OwnHost(endpoint, own, takes_links=path == _PAGE) for path, endpoint in endpoints.items()},
            ("health", "live"): HealthEndpoint(lambda: None),
            ("health", "ready"): HealthEndpoint(ready, ready_in_part),
        }
        self._nowhere = OwnHost(_Nowhere(), own)
        self._signed = lambda path: OwnHost(signed(path), own)
        self._own = own

    def find(self, path: tuple[str, ...]) -> Endpoint:
        of_operator = self._operator.find(path)  # first, because an account may be called push
        if of_operator is not None:
            return OwnHost(of_operator, self._own)
        if len(path) in _SIGNED and path[1] in _SIGNED[len(path)]:
            return self._signed(path)
        return self._endpoints.get(path, self._nowhere)
