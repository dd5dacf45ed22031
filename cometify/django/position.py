"""The position of a page: it is taken before the view reads any data."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured

from cometify.integration.position import take_position

from .conf import client

V = TypeVar("V", bound=Callable[..., Any])
_NAME = "cometify_position"


def with_position(view: V) -> V:
    """Take a position before the view reads any data. It is `request.cometify_position`, and a template tag prints it.

    For a class, write `@method_decorator(with_position, name="dispatch")`.
    """
    if iscoroutinefunction(view):

        @wraps(view)
        async def first_the_position(request: Any, *arguments: Any, **options: Any) -> Any:
            setattr(request, _NAME, await sync_to_async(take_position, thread_sensitive=False)(client()))
            return await view(request, *arguments, **options)

    else:

        @wraps(view)
        def first_the_position(request: Any, *arguments: Any, **options: Any) -> Any:
            setattr(request, _NAME, take_position(client()))
            return view(request, *arguments, **options)

    return cast("V", first_the_position)


def position_of(request: Any) -> int:
    """Return the position that was taken for a request. Raises ImproperlyConfigured."""
    taken = getattr(request, _NAME, None)
    if taken is None:
        raise ImproperlyConfigured(
            "This page has no position: decorate its view with cometify.django.with_position, and give the request to the "
            "template."
        )
    return cast("int", taken)
