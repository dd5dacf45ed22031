"""The page of all requests, from openapi.json."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cometify import __version__

_METHODS = ("get", "post", "put", "delete", "patch")
_HEAD = """# All HTTP requests

This page is made from [`/openapi.json`](openapi.json), which every server serves (version {version}).
[The wire protocol](../protocol.md) explains the same requests in sentences. `{{apiKey}}` is the API key of the account.
"""


def page(file: Path) -> str:
    """The page as Markdown."""
    document = json.loads(file.read_text("utf-8"))
    return "\n\n".join([_HEAD.format(version=__version__), *_Page(document).parts()]) + "\n"


class _Page:
    """Writes the parts of a document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def parts(self) -> Iterator[str]:
        """The operations, the proofs of a publisher, and the schemas."""
        for path, operations in self._document["paths"].items():
            for method in _METHODS:
                if method in operations:
                    yield from self._operation(path, method, operations[method])
        components = self._document["components"]
        yield "## Security schemes"
        for name, scheme in components["securitySchemes"].items():
            yield f"(scheme-{name.lower()})=\n### {name}\n\n{scheme['description']}"
        yield "## Schemas"
        for name, schema in components["schemas"].items():
            yield f"(schema-{name.lower()})=\n### {name}"
            yield from self._schema(schema)

    def _operation(self, path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
        yield f"(operation-{operation['operationId'].lower()})=\n## {method.upper()} {path}"
        yield operation["summary"]
        if operation.get("description"):
            yield operation["description"]
        yield f"Operation `{operation['operationId']}`. {self._security(operation)}".strip()
        rows = [self._parameter(self._resolve(parameter)) for parameter in operation.get("parameters", ())]
        if rows:
            yield _table(("parameter", "in", "type", "meaning"), rows)
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"Body `{media}`: {_type(content['schema'])}"
        answers: dict[tuple[str, str], list[str]] = {}
        for status, answer in operation["responses"].items():
            answers.setdefault(self._answer(self._resolve(answer)), []).append(status)
        yield _table(("status", "answer", "body"), [(", ".join(found), *answer) for answer, found in answers.items()])

    def _security(self, operation: dict[str, Any]) -> str:
        schemes = [name for choice in operation.get("security", ()) for name in choice]
        if not schemes:
            return ""
        links = [f"[{name}](#scheme-{name.lower()})" for name in dict.fromkeys(schemes)]
        may_have_none = {} in operation["security"]
        return f"Proof: {' or '.join(links)}{', or the parameter `secure`' if may_have_none else ''}."

    def _parameter(self, parameter: dict[str, Any]) -> tuple[str, ...]:
        schema = self._resolve(parameter["schema"])
        text = " ".join(filter(None, [parameter.get("description"), schema.get("description")]))
        name = f"`{parameter['name']}`" + (", required" if parameter.get("required") else "")
        return name, parameter["in"], _type(parameter["schema"]), text

    def _answer(self, answer: dict[str, Any]) -> tuple[str, str]:
        bodies = [f"`{media}`: {_type(body['schema'])}" for media, body in answer.get("content", {}).items()]
        return answer["description"], ", ".join(bodies)

    def _schema(self, schema: dict[str, Any]) -> Iterator[str]:
        if schema.get("description"):
            yield schema["description"]
        if "properties" not in schema:
            yield f"Type: {_type(schema)}"
            return
        required = schema.get("required", ())
        rows = []
        for name, part in schema["properties"].items():
            rows.append(
                (f"`{name}`" + (", required" if name in required else ""), _type(part), part.get("description", ""))
            )
        yield _table(("property", "type", "meaning"), rows)

    def _resolve(self, part: dict[str, Any]) -> dict[str, Any]:
        found: Any = part
        while "$ref" in found:
            where, found = found["$ref"], self._document
            for step in where.removeprefix("#/").split("/"):
                found = found[step]
        return dict(found)


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words. A named one is a link."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#schema-{name.lower()})"
    for key, joint in (("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")):
        if key in schema:
            return joint.join(filter(None, map(_type, schema[key])))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kinds = schema.get("type", "anything" if "required" not in schema else "")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if kinds == "array" and "items" in schema:
        words = f"array of {_type(schema['items'])}"
    if "pattern" in schema:
        words += f" `{schema['pattern']}`"
    if kinds == "" and "required" in schema:
        words = "required " + ", ".join(f"`{name}`" for name in schema["required"])
    return words + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if lowest is not None and highest is not None:
        return f" {lowest} to {highest}"
    return f" from {lowest}" if lowest is not None else ""


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
