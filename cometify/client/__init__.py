"""Programs that push: the API for back ends. It needs the standard library alone, and imports nothing else of Cometify."""
