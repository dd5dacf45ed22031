"""For `twistd -ny cometify.tac`: the same server as `twistd -n cometify`, with what stands in cometify.toml."""

from twisted.application.service import Application

from cometify.app.options import Options
from cometify.app.service import makeService

options = Options()
options.parseOptions([])

application = Application("cometify")
makeService(options).setServiceParent(application)
