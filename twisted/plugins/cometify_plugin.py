"""`twistd cometify`: a declaration, so that twistd --help imports nothing of ours."""

from twisted.application.service import ServiceMaker

cometify = ServiceMaker("Cometify", "cometify.app.service", "A self-hosted web push service", "cometify")
