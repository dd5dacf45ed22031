"""The paths of the admin endpoint that read or change accounts. Each is behind `OperatorGuard`."""

from cometify.accounts.editor import AccountEditor
from cometify.admin.accounts_endpoint import AccountActionEndpoint, AccountEndpoint, AccountsEndpoint
from cometify.admin.operator_guard import OperatorGuard
from cometify.admin.reload_endpoint import FindReload, ReloadEndpoint
from cometify.http.site import Endpoint


class OperatorUrls:
    """`token_file`: see the setting `admin_token_file`. `find_reload`: see `ReloadEndpoint`.

    `usage`: the endpoint of the usage of an account, see `AccountUsageEndpoint`.
    """

    def __init__(self, editor: AccountEditor, token_file: str | None, find_reload: FindReload, usage: Endpoint) -> None:
        self._token_file = token_file
        self._accounts, self._account, self._action, self._reload, self._usage = [
            OperatorGuard(endpoint, token_file)
            for endpoint in (
                AccountsEndpoint(editor),
                AccountEndpoint(editor),
                AccountActionEndpoint(editor),
                ReloadEndpoint(find_reload),
                usage,
            )
        ]

    def guard(self, endpoint: Endpoint) -> Endpoint:
        """Guard an endpoint of the console, or /inspect. Without a token, whoever may read metrics may read its figures too."""
        if self._token_file is None and b"POST" not in endpoint.methods:
            return endpoint
        return OperatorGuard(endpoint, self._token_file)

    def find(self, path: tuple[str, ...]) -> Endpoint | None:
        """Return the endpoint at a path, or None if it is not one of these."""
        match path:
            case ("accounts",):
                return self._accounts
            case ("accounts", _api_key):
                return self._account
            case ("accounts", _api_key, action) if action in AccountActionEndpoint.ACTIONS:
                return self._action
            case ("accounts", _api_key, "usage"):
                return self._usage
            case ("reload",):
                return self._reload
        return None
