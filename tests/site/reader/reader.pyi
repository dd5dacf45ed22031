# The names that the blocks of Python in the documents leave to the reader.

import logging
from typing import TypedDict

from cometify import client

class _Order(TypedDict):
    id: int
    state: str

cometify: client.Cometify
form: dict[str, str]
log: logging.Logger
order: _Order
url: str

def push_later(identifier: str, content: object, idempotency_key: str | None) -> None: ...
