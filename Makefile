# make run    serve on http://localhost:8081, with nothing else needed
# make test   all there is: lint, types, import contracts, every test, the client, the wheel
# make check  the quick part of it, for the inner loop
# make client build the browser client into cometify/static (needs Node)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JS := js/node_modules/.package-lock.json
SUITE := .cache/suite
TESTS := $(wildcard tests/*.py tests/*/*.py)

.PHONY: run test check lint client js tools wheel suite clean

run: $(VENV)/run
	@exec $(BIN)/twistd -n --pidfile= cometify

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cometify needs Python 3.11 or newer")'
	@scripts/need venv python3-venv
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# twistd finds the package and its plugin in the folder it is started in: only what it needs is installed.
$(VENV)/run: $(VENV)/python setup.cfg
	@echo "setting up $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check .
	@touch $@

$(VENV)/dev: $(VENV)/python setup.cfg
	@echo "setting up $(VENV) for development"
	@$(BIN)/pip install --quiet --disable-pip-version-check '.[dev]'
	@touch $@

tools:
	@scripts/need node nodejs
	@scripts/need npm npm
	@scripts/need curl curl
	@scripts/need php php-cli
	@scripts/need openssl openssl
	@scripts/need chromium chromium

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(BIN)/python -m pytest -q tests/core

$(JS): js/package-lock.json
	@scripts/need node nodejs
	@scripts/need npm npm
	cd js && npm ci --ignore-scripts --no-audit --no-fund --silent

js: $(JS)
	cd js && npm run --silent check
	cd js && npm test --silent
	cd js && npm run --silent size
	cd js && npm run --silent verify

client: $(JS)
	cd js && npm run --silent build

wheel: $(VENV)/dev
	@rm -rf build dist *.egg-info
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	$(BIN)/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps dist/*.whl

# The tests run in a folder of their own, in which nothing but the installed wheel can be imported as cometify.
suite: wheel
	@rm -rf $(SUITE)
	@mkdir -p $(SUITE)
	@cp -r tests docs protocol pyproject.toml README.md $(SUITE)/

test: tools lint js suite
	cd $(SUITE) && $(CURDIR)/scripts/run-suite $(CURDIR)/$(BIN)

clean:
	rm -rf $(VENV) .cache build dist *.egg-info js/node_modules
