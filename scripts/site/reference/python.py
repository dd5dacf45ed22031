"""The page of the Python API, which Sphinx reads from the docstrings of cometify.client."""

_HEAD = """# The Python API

`cometify.client` is for back ends that push. It needs the standard library alone.
"""
_MODULES = ("cometify.client", "cometify.client.aio", "cometify.client.tx")
_MODULE = """## `{name}`

```{{eval-rst}}
.. automodule:: {name}
   :members:{imported}
   :inherited-members: BaseException, Exception, object
   :member-order: bysource
```
"""


def page() -> str:
    """The page as Markdown. The package offers what its modules define, so its names are those that it imports."""
    parts = [
        _MODULE.format(name=name, imported="\n   :imported-members:" if name == _MODULES[0] else "")
        for name in _MODULES
    ]
    return "\n".join([_HEAD, *parts])
