"""The programs of docs/recipes.md push: each is run as it stands, with a little of its framework around it."""

import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from bench.rig.ports import free_ports
from tests.wire import API_KEY, API_SECRET, Client, eventually

RECIPES = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
EXPRESS = """
import { createServer } from 'node:http';
const routes = {};
const express = () => ({
  use() {},
  post(path, answer) { routes[path] = answer; },
  listen(port) {
    createServer(async (request, response) => {
      let text = '';
      for await (const part of request) text += part;
      response.status = (code) => { response.statusCode = code; return response; };
      response.json = (value) => response.end(JSON.stringify(value));
      await routes[request.url]({ body: JSON.parse(text) }, response);
    }).listen(port, '127.0.0.1');
  },
});
express.json = () => {};
export default express;
globalThis.saveOrder = async (order) => ({ id: 7, ...order });
"""
"""Express, as far as the recipe uses it."""
RAILS = """
class ApplicationRecord
  def self.after_create_commit(&block) = @@block = block
  def create = instance_exec(&@@block)
  def as_json = { id: 7, text: 'Tea' }
end
"""
"""Rails, as far as the recipe uses it."""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(server):
    return {**os.environ, "COMETIFY_URL": f"http://{API_KEY}:{quote(API_SECRET, safe='')}@127.0.0.1:{server.port}"}


@pytest.fixture
def created(server):
    """The push frame that the recipe causes."""
    with server.stream("identifiers=orders") as stream:
        stream.joined()
        yield lambda: stream.next("push")


def test_recipe_of_express_pushes(environment, created, tmp_path):
    (program,) = blocks("js")
    package = tmp_path / "node_modules" / "express"
    package.mkdir(parents=True)
    (package / "index.js").write_text(EXPRESS)
    (package / "package.json").write_text(json.dumps({"name": "express", "type": "module", "main": "index.js"}))
    (tmp_path / "app.mjs").write_text(program)
    (port,) = free_ports(1)
    with subprocess.Popen(["node", "app.mjs"], cwd=tmp_path, env={**environment, "PORT": str(port)}) as app:

        def ordered():
            try:
                return Client(port).request("POST", "/orders", b'{"text": "Tea"}').status == 201
            except ConnectionRefusedError:
                return False

        eventually(ordered)
        app.terminate()
    push = created()
    assert (push["event"], push["data"]) == ("created", {"id": 7, "text": "Tea"})


def test_recipe_of_rails_pushes(environment, created, tmp_path):
    program, model = blocks("ruby")
    (tmp_path / "app.rb").write_text(f"{RAILS}\n{program}\n{model}\nputs JSON.generate(Order.new.create)\n")
    done = subprocess.run(
        ["ruby", "app.rb"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["listeners"] == 1
    push = created()
    assert (push["event"], push["data"]) == ("created", {"id": 7, "text": "Tea"})


def test_recipe_of_rails_raises_what_the_server_says(environment, tmp_path):
    program, _ = blocks("ruby")
    (tmp_path / "app.rb").write_text(f"{program}\nCometify.push('1', data: 1)\n")
    done = subprocess.run(
        ["ruby", "app.rb"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "letter" in done.stderr
