"""The pages of reference, which are made from definitions."""

import json
from importlib.resources import files

import pytest

from cometify import client
from cometify.config.settings import Settings
from cometify.config.settings_file import load
from cometify.core import errors

CODES = [code.name for code in vars(errors).values() if isinstance(code, errors.Code)]


def text(site, name):
    return site[name].decode()


def test_page_of_errors_has_an_anchor_for_each_code(site):
    page = text(site, "errors.html")
    assert [code for code in CODES if page.count(f'id="{code}"') != 1] == []


def test_reference_has_each_operation_and_each_schema(site):
    document = json.loads((files("cometify") / "static" / "openapi.json").read_text("utf-8"))
    page = text(site, "reference/http.html")
    operations = [found["operationId"] for path in document["paths"].values() for found in path.values()]
    assert len(operations) >= 10
    anchors = [f"operation-{name}" for name in operations] + [
        f"schema-{name}" for name in document["components"]["schemas"]
    ]
    assert [anchor for anchor in anchors if f'id="{anchor.lower()}"' not in page] == []


def test_reference_has_each_setting_with_its_values_and_default(site, tmp_path, monkeypatch):
    page = text(site, "reference/settings.html")
    no_keys = {"accounts", "defaults", "made_up", "__weakref__"}
    names = [{"account_store": "accounts"}.get(field, field) for field in Settings.__slots__ if field not in no_keys]
    assert len(names) >= 14
    assert [name for name in names if f'id="{name.replace("_", "-")}"' not in page] == []
    assert "Seconds between two heartbeats." in page
    assert "a whole number from 1 to 300" in page
    monkeypatch.chdir(tmp_path)
    assert f"Default: {load(None, {}).heartbeat}." in page


@pytest.mark.parametrize("name", ["init", "connect", "Listener", "usePushes", "CometifyConnector"])
def test_reference_has_the_types_of_the_client(site, name):
    assert "<h3><code" in text(site, "reference/client.html")
    assert f">{name}</span>" in text(site, "reference/client.html")


def test_reference_has_the_python_api(site):
    page = text(site, "reference/python.html")
    names = [f"cometify.client.{name}" for name in client.__all__ if name != "ABSENT"]
    names += [
        "cometify.client.aio.AsyncCometify.push",
        "cometify.client.tx.TxCometify.push",
        "cometify.client.Cometify.from_url",
    ]
    assert [name for name in names if f'id="{name}"' not in page] == []
