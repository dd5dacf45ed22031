"""The parts that the integrations of Django, Flask, Starlette and SQLAlchemy share. They need no framework."""
