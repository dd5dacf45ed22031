"""The address at which a command serves its metrics for Prometheus."""

from ipaddress import ip_address

import click


class MetricsAddress(click.ParamType[tuple[str, int]]):
    """An IP address and a port, such as `example`. `is_local`: it must be one of this machine alone."""

    name = "address"

    def __init__(self, example: str, *, is_local: bool = False) -> None:
        self._example = example
        self._is_local = is_local

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """See click."""
        if isinstance(value, tuple):
            return value
        host, _, port = value.rpartition(":")
        try:
            address = ip_address(host.strip("[]"))
        except ValueError:
            self.fail(f"{value!r} has no IP address: write {self._example}.", param, ctx)
        if self._is_local and not address.is_loopback:
            self.fail(f"{value!r} is no address of this machine alone: write {self._example}.", param, ctx)
        if not (port.isascii() and port.isdigit() and int(port) < 65_536):
            self.fail(f"{value!r} has no port: write {self._example}.", param, ctx)
        return str(address), int(port)
