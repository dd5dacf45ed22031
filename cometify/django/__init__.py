"""Django: pushes from views and after a commit, an outbox, tokens for pages, and template tags.

    INSTALLED_APPS = [..., "cometify.django"]
    COMETIFY_URL = "https://KEY:SECRET@push.example.org"

and then, in a view:

    from cometify.django import push_on_commit

    push_on_commit("orders", {"id": order.id}, event="created")

`cometify.django.conf` reads the settings. `cometify.django.outbox` adds to the outbox, and `cometify.django.views` has the view
that gives tokens.
"""

from .conf import client
from .position import with_position
from .pushing import batch_on_commit, push, push_on_commit

__all__ = ["batch_on_commit", "client", "push", "push_on_commit", "with_position"]
