# The part of the library requests that the documents use.

from collections.abc import Mapping

class RequestException(OSError): ...

class Response:
    status_code: int

def post(
    url: str, data: Mapping[str, str] | None = ..., *, headers: Mapping[str, str] = ..., timeout: float = ...
) -> Response: ...
