# The distribution `cometify-client`, which has the modules of cometify.client under its own name.

from cometify.client import Cometify as Cometify
from cometify.client import CometifyError as CometifyError
from cometify.client import MaybePushed as MaybePushed
