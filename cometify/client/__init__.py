"""Programs that push: the API for back ends. It needs the standard library alone, and imports nothing else of Cometify.

    from cometify.client import Cometify

    Cometify.from_url("https://KEY:SECRET@push.example.org").push("guestbook", "Hello world!")

`cometify.client.aio` is the same for asyncio, and `cometify.client.tx` for Twisted.
"""

from .errors import CometifyError, MaybePushed
from .lists import IdentifierDetails, IdentifierUse, KeptPush, KeptPushes, Usage, UsagePeriod
from .pushes import ABSENT, Push, Pushed
from .sync import Cometify

__all__ = [
    "ABSENT",
    "Cometify",
    "CometifyError",
    "IdentifierDetails",
    "IdentifierUse",
    "KeptPush",
    "KeptPushes",
    "MaybePushed",
    "Push",
    "Pushed",
    "Usage",
    "UsagePeriod",
]
