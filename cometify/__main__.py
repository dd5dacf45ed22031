"""`python -m cometify` is the command `cometify`."""

from cometify.command.main import main

main(prog_name="cometify")
