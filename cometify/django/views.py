"""The view that gives a page its token."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.generic import View

from cometify.integration.grant import NO_STORE, SECONDS, Grant, token_answer

from .conf import client


class TokenView(View):
    """Answers GET with `{"token": "…"}`, or with 403 if nobody is logged in.

    Write `TokenView.as_view(identifiers_of=function)`, or a subclass with the method `identifiers`.

    - `identifiers_of`: a function of the request that returns the identifiers to whose secret pushes the visitor has the
      right. A trailing * stands for a prefix. An empty list: the visitor may hear only public pushes.
    - `subject_of`: a function of the request that returns the `sub` of the token, with which `disconnect` ends the
      connections of this visitor. By default it is `user_` and the primary key.
    - `login_required`: False: `identifiers` decides alone. It returns None for a visitor who is refused.
    - `seconds`: the life of a token.
    """

    identifiers_of: Callable[[HttpRequest], Iterable[str] | None] | None = None
    subject_of: Callable[[HttpRequest], str | None] | None = None
    login_required = True
    seconds: float = SECONDS

    def get(self, request: HttpRequest, *_arguments: Any, **_options: Any) -> HttpResponse:
        """Answer with a token."""
        status, answer = token_answer(client(), self._grant(request))
        return JsonResponse(answer, status=status, headers={"Cache-Control": NO_STORE})

    def identifiers(self, request: HttpRequest) -> Iterable[str] | None:
        """Return the identifiers of the visitor, or None to refuse."""
        if self.identifiers_of is None:
            raise ImproperlyConfigured(
                "TokenView needs identifiers: write TokenView.as_view(identifiers_of=…), or a subclass with the method "
                "identifiers(self, request)."
            )
        return self.identifiers_of(request)

    def subject(self, request: HttpRequest) -> str | None:
        """Return the `sub` of the token."""
        if self.subject_of is not None:
            return self.subject_of(request)
        user = getattr(request, "user", None)
        return f"user_{user.pk}" if user is not None and user.is_authenticated else None

    def _grant(self, request: HttpRequest) -> Grant | None:
        if self.login_required and not self._is_logged_in(request):
            return None
        names = self.identifiers(request)
        return None if names is None else Grant(names, self.subject(request), self.seconds)

    def _is_logged_in(self, request: HttpRequest) -> bool:
        user = getattr(request, "user", None)
        if user is None:
            raise ImproperlyConfigured(
                "TokenView needs request.user: add django.contrib.auth.middleware.AuthenticationMiddleware to MIDDLEWARE, or "
                "set login_required=False and refuse visitors in identifiers."
            )
        return bool(user.is_authenticated)
