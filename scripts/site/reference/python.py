"""The page of the Python API, which Sphinx reads from the docstrings of cometify.client."""

import pkgutil

from cometify import client

_HEAD = """# The Python API

`cometify.client` is for back ends that push. It needs the standard library alone.
"""
_MODULE = """```{{eval-rst}}
.. automodule:: {name}
   :members:
   :imported-members:
   :member-order: bysource
```
"""


def page() -> str:
    """The page as Markdown. A package that says what it exports is read by that, and else module by module."""
    if getattr(client, "__all__", ()):
        names = [client.__name__]
    else:
        names = [f"{client.__name__}.{module.name}" for module in pkgutil.iter_modules(client.__path__)]
    modules = [f"## `{name}`\n\n{_MODULE.format(name=name)}" for name in names]
    return "\n".join([_HEAD, *modules])
