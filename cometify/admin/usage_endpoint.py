"""/accounts/{apiKey}/usage on the admin endpoint: the usage of an account, for an operator who does not have its API secret."""

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.core.list_query import check_no_parameters
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.site import Endpoint
from cometify.interfaces import IAccounts, IUsageBook
from cometify.transports.back_end import usage_json


class AccountUsageEndpoint(Endpoint):
    """The answer is that of GET /{apiKey}/usage, over all nodes. A suspended account has one too."""

    methods = (b"GET",)

    def __init__(self, accounts: IAccounts, usage_book: IUsageBook) -> None:
        self._accounts = accounts
        self._usage_book = usage_book

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        check_no_parameters(request.query())
        account = self._accounts.get(request.segments[1])
        if account is None:
            raise Refused(errors.NOT_FOUND, "There is no account of this API key: GET /accounts lists them.")
        read = self._usage_book.read(account).addCallback(usage_json, account)
        read.addCallback(lambda body: request.answer(200, b"application/json", body))
        read.addErrback(self.failed, request)
