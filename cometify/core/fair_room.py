"""Room for the bytes of all accounts together, of which no account can take the part of the others."""


class FairRoom:
    """Room for `most` bytes.

    An account gets more only if it then has no more than what was left free. So one account alone has half of the room, and
    when two take all they can for long, each has a third. Some of the room is always left for another account.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._of: dict[str, int] = {}

    def take(self, api_key: str, size: int) -> bool:
        """Take room for `size` bytes of an account. Returns False if it gets none."""
        held = self._of.get(api_key, 0) + size
        if held > self._free:
            return False
        self._of[api_key] = held
        self._free -= size
        return True

    def leave(self, api_key: str, size: int) -> None:
        """Give room back that was taken."""
        self._free += size
        left = self._of.pop(api_key, 0) - size  # an empty text takes nothing, and so leaves nothing here
        if left:
            self._of[api_key] = left
