"""Late views: the head of a view is not raised yet, although a push for it is in its ring.

The heads of all views of a channel are raised when a push is announced. If there are very many views this takes several
turns of the event loop (delivery/wide_channels.py). Until its turn comes a view is *late*:

    ring of chat         110   120              push 120 was announced
    views of chat        head=120               raised already
                         head=110               late

A late view is served correctly, because each span is made of everything that the rings have. Three promises rely on the
head, however, and would be broken:

- A heartbeat tells the watermark, which is above 120 already. So a listener of a late view gets none.
- A listener that goes live, or polls again, is put at the head. So the head is raised first (`FanOut.settle`).
- A live listener at the head has everything up to now. This is not said of a late view when its listener asks for
  something else (`membership/joining.py`).
"""


class LateViews:
    """`exist`: True while some view of a registry may be late. Nothing else has to be looked at while it is False.

    All views of a registry share one. So the common case costs them one look at an attribute.
    """

    __slots__ = ("exist",)

    def __init__(self) -> None:
        self.exist = False
