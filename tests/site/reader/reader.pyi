# The names that the blocks of Python in the documents leave to the reader.

import logging
from typing import Any

Entry: Any
connection: Any
INSTALLED_APPS: list[str]
form: dict[str, str]
log: logging.Logger
order: dict[str, object]
url: str

def current_user() -> str | None: ...
def entries() -> Any: ...
def push_later(identifier: str, content: object, idempotency_key: str | None) -> None: ...
def save(text: str) -> Any: ...
