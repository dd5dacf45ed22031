"""The JSON of the wire protocol in the documents has the form that openapi.json promises, and no other names."""

import json
from importlib.resources import files

import jwt
import pytest
from jsonschema import Draft202012Validator

from cometify.core.account_token import read_account_token
from cometify.core.token import read_token
from tests.site.blocks import BLOCKS

OPENAPI = json.loads((files("cometify") / "static" / "openapi.json").read_text("utf-8"))
SCHEMAS = OPENAPI["components"]["schemas"]
BATCH = OPENAPI["paths"]["/{apiKey}/push"]["post"]["requestBody"]["content"]["application/json"]["schema"]
FORMS = {
    "docs/batches.md": [BATCH],
    "docs/protocol-backend.md": [
        SCHEMAS["IdentifierPage"],
        SCHEMAS["IdentifierDetails"],
        SCHEMAS["PushPage"],
        SCHEMAS["Usage"],
    ],
    "docs/protocol-listening.md": [SCHEMAS["Listen"]],
    "docs/pushing.md": [SCHEMAS["Pushed"]],
    "docs/tutorial.md": [SCHEMAS["Pushed"]],
    "docs/webhooks.md": [SCHEMAS["WebhookEvents"]],
}
"""The forms of the blocks of each page, in their order."""
(CLAIMS,) = [block for block in BLOCKS if (block.page, block.language) == ("docs/disconnecting.md", "json")]
(ACCOUNT_CLAIMS,) = [block for block in BLOCKS if (block.page, block.language) == ("docs/self-service.md", "json")]


def closed(schema, is_part=False):
    """The same schema, with references replaced, which refuses names that it does not have."""
    if "$ref" in schema:
        schema = {**schema, **SCHEMAS[schema["$ref"].rpartition("/")[2]]}
    made = {}
    for name, value in schema.items():
        if name in {"allOf", "oneOf", "anyOf"}:
            made[name] = [closed(part, is_part=True) for part in value]
        elif name == "properties":
            made[name] = {key: closed(one) for key, one in value.items()}
        elif name == "items":
            made[name] = closed(value)
        elif name != "$ref":
            made[name] = value
    if not is_part and made.keys() & {"properties", "allOf"} and "additionalProperties" not in made:
        made["unevaluatedProperties"] = False
    return made


def faults(value, schema):
    return [error.message for error in Draft202012Validator(closed(schema)).iter_errors(value)]


def test_each_page_with_json_has_its_forms_here():
    pages = [block.page for block in BLOCKS if block.language == "json" and block not in (CLAIMS, ACCOUNT_CLAIMS)]
    assert {page: pages.count(page) for page in pages} == {page: len(forms) for page, forms in FORMS.items()}


@pytest.mark.parametrize("page", FORMS)
def test_json_of_a_page_has_the_promised_form(page):
    blocks = [block for block in BLOCKS if (block.page, block.language) == (page, "json")]
    found = {block.where: faults(json.loads(block.code), form) for block, form in zip(blocks, FORMS[page], strict=True)}
    assert found == {block.where: [] for block in blocks}


def test_claims_of_a_page_make_a_token():
    claims = json.loads(CLAIMS.code)
    token = read_token(jwt.encode(claims, "s" * 32), ["s" * 32], claims["iat"])
    assert (token.subject, token.issued, token.until) == ("user_7", claims["iat"], claims["exp"])


def test_claims_of_a_page_make_the_token_of_an_account():
    claims = json.loads(ACCOUNT_CLAIMS.code)
    read_account_token(jwt.encode(claims, "s" * 32), "37282591", ["s" * 32], claims["iat"])


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (BATCH, [{"identifier": "chat", "text": "one", "secret": 0, "pushid": 7}]),
        (BATCH, [{"text": "one", "secret": 0}]),
        (SCHEMAS["Listen"], {"type": "listen", "groups": [{"identifiers": ["a"], "secure_key": "k"}]}),
        (SCHEMAS["Pushed"], {"identifier": "chat", "push_id": 7, "position": "1764000000000000", "listeners": 12}),
        (SCHEMAS["PushPage"], {"pushes": [{"identifier": "a"}], "gap": False, "next": None}),
    ],
)
def test_json_of_another_form_is_found(form, value):
    assert faults(value, form)
