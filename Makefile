# make run          serve on http://localhost:8081
# make test         run everything: lint, types, import contracts, every test, the client, the wheel
# make coverage     run all of the Python tests again and measure the coverage of the package, which takes a third longer
# make check        run the quick part of it, for the inner loop
# make docs         build the documentation as a site into cometify/static/docs.zip, which the server serves at /docs
# make release      build all packages of this commit, an SBOM and checksums into dist/; nothing is uploaded
# make picture      take the pictures of README.md and docs/console.md
# make client       build the browser client into cometify/static (needs Node)
# make bench        measure beside other servers; QUICK=1, ROUNDS=n, SERVERS=a,b and WORKS=x,y measure less
# make bench-docs   write the last measurement into docs/ and README.md
# make bench-compare  what an operator costs who watches, or another build: AGAINST=folder of its twistd; WORKS and ROUNDS
# make bench-edge   measure an audience behind Varnish and nginx; LISTENERS=n and PUSHES=n
# make bench-million  hold idle listeners, kill the server and wait until all are back; LISTENERS=n and WORKERS=n
# make bench-nodes  measure nodes that share a Redis and write docs/nodes.md; QUICK=1 measures less and writes nothing
# make bench-workers  measure 1, 2 and 4 workers of one node and write docs/workers.md; QUICK=1 and ROUNDS as above
# make attacks      carry out every known attack on a server of this machine, with a good client beside it; SECONDS=n each;
#                   DOCS=1 writes the table into docs/security.md
# make floods       let one account flood a server of this machine in each way; SECONDS=n each; DOCS=1 writes the table into
#                   docs/hosting.md
# make returning    let 20,000 listeners come in the same moment (LISTENERS=n; ulimit -n must allow them)
# make leaving      let 70,000 listeners leave in the same moment (LISTENERS=n; ulimit -n must allow them)
# make fuzz         send a million odd and hostile inputs to a server of this machine (INPUTS=n, SEED=n)
# make races        load pages while transactions that commit out of order change them, 10,000 times in each way (RACES=n)
# make outbox       kill writers, relays, nodes, Redis and PostgreSQL 200 times (KILLS=n) while 20,000 rows of an outbox are
#                   committed (ROWS=n), to see that each is pushed once
# make restarts     rolling restarts behind each load balancer (BALANCERS=nginx,haproxy), and the table in docs/load-balancer.md
# make accounts     let 50 accounts live on three nodes (LIVES=n), to see that 500 listeners of another account notice nothing
# make soak         ten minutes of load (MINUTES=n), to see that nothing grows; then twenty rounds of each fault on nodes
#                   that share a Redis (ROUNDS=n), to see that nothing is lost

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JS := js/node_modules/.package-lock.json
SUITE := .cache/suite
SITE := cometify/static/docs.zip
PAGES := $(wildcard *.md docs/*.md docs/*/* deploy/* scripts/site/* scripts/site/*/*.py js/*.d.ts cometify/client/*.py cometify/config/*.py \
	cometify/core/account.py cometify/core/errors.py cometify/static/openapi.json)

# What is imported is compiled once, and not by each process.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test coverage check lint client docs picture js tools wheel release suite collected clean bench bench-docs bench-nodes bench-workers bench-compare bench-edge bench-million attacks floods returning leaving fuzz races outbox accounts restarts soak

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

# An older pip takes 10 s longer. Most of the modules are never imported, and compiling all of them takes 12 s.
$(VENV)/dev: $(VENV)/python setup.cfg
	@echo "setting up $(VENV) for development"
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip || true
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile '.[dev]'
	@touch $@

$(BIN)/helm: $(VENV)/dev scripts/helm.py
	@$(BIN)/python scripts/helm.py $@
	@touch $@

# The set-up of Python and the client waits for the first line alone.
tools:
	@scripts/need venv python3-venv -- node nodejs -- npm npm
	@scripts/need curl curl -- shellcheck shellcheck -- ruby ruby -- openssl openssl -- gcc gcc libc6-dev \
		-- php php-cli -- php:curl php-curl -- php:pdo_sqlite php-sqlite3 -- php:pdo_pgsql php-pgsql \
		-- illuminate php-illuminate-broadcasting php-illuminate-config php-illuminate-http php-illuminate-routing \
		-- sqlite3 sqlite3 -- postgres postgresql -- mariadbd mariadb-server -- redis-server redis-server \
		-- chromium chromium -- firefox-esr firefox-esr -- WebKitWebDriver webkit2gtk-driver -- Xvfb xvfb \
		-- nginx nginx-light -- haproxy haproxy -- caddy caddy -- varnishd varnish gcc libc6-dev \
		-- promtool prometheus -- faketime faketime -- systemd-analyze systemd -- iptables iptables -- ip iproute2

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive cometify bench twisted scripts
	$(BIN)/python -m pytest -q tests/style
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/python scripts/audit.py pip

check: lint
	$(BIN)/python -m pytest -q tests/core tests/config tests/delivery tests/websocket

$(JS): js/package-lock.json
	@scripts/need node nodejs -- npm npm
	cd js && npm ci --ignore-scripts --no-audit --no-fund --silent

# The first of them builds the client, and the others use its build.
js: $(JS)
	cd js && npm run --silent verify
	cd js && npm run --silent check
	cd js && npm test --silent
	cd js && npm run --silent size
	$(PYTHON) scripts/audit.py npm

client: $(JS)
	cd js && npm run --silent build

$(SITE): $(VENV)/dev $(PAGES) cometify/__init__.py
	$(BIN)/python scripts/site

docs: $(SITE)

picture: $(VENV)/dev
	PYTHONPATH=. $(BIN)/python scripts/picture.py
	PYTHONPATH=. $(BIN)/python scripts/console_pictures.py

wheel: $(VENV)/dev $(SITE)
	@rm -rf build dist *.egg-info
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	$(BIN)/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps dist/*.whl

release: $(VENV)/dev $(JS)
	@$(BIN)/python scripts/release

# The tests run in a folder of their own, in which nothing but the installed wheel can be imported as cometify.
suite: wheel collected $(BIN)/helm

# The tests are collected once before they run, because each of the processes that run them would compile all of them otherwise.
# This needs no wheel, so it is done beside it.
collected: $(VENV)/dev
	@rm -rf $(SUITE)
	@mkdir -p $(SUITE)
	@cp -r .github tests docs deploy examples protocol scripts sdk pyproject.toml setup.cfg Containerfile .dockerignore README.md $(SUITE)/
	@mkdir $(SUITE)/bench $(SUITE)/js
	@cp js/package.json js/package-lock.json js/README.md $(SUITE)/js/
	@cp -r $(filter-out bench/out,$(wildcard bench/*)) $(SUITE)/bench/
	@cd $(SUITE) && PYTHONPATH=$(CURDIR) $(CURDIR)/$(BIN)/python -m pytest -q --collect-only tests >collected.log || { tail -n 50 collected.log; exit 1; }

# Set-up, checks and tests run side by side, because most of them wait for something. The tests of the client begin before the
# Python tests, because they measure time.
test:
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target tools suite-run js calm-lint

.PHONY: suite-run calm-lint

# The + lets the output of this target appear at once. That of the others comes when they have ended.
suite-run: tools suite js
	+cd $(SUITE) && $(CURDIR)/scripts/run-suite $(CURDIR)/$(BIN)

# The tests come first.
calm-lint: $(VENV)/dev
	+@nice -n 5 $(MAKE) --no-print-directory lint

coverage: tools suite $(JS)
	cd $(SUITE) && $(CURDIR)/scripts/run-suite $(CURDIR)/$(BIN) coverage

# The measured Cometify is installed into a venv of its own, as a user has it. It is not imported from the checkout.
BENCH := env -u PYTHONPATH bench/.build/venv/bin/python -m bench.speed
CHOICE := $(if $(SERVERS),--servers $(SERVERS))
MEASURE := $(CHOICE) $(if $(WORKS),--works $(WORKS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick)

bench:
	@bench/setup tools cometify
	@parts=$$($(BENCH) $(CHOICE) --parts) && { bench/setup tools $$parts || echo "servers that could not be installed are left out"; }
	@$(BENCH) $(MEASURE)

bench-docs:
	@bench/setup cometify
	@$(BENCH) --again bench/out/result.json --docs

bench-nodes:
	@bench/setup tools cometify redis
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.nodes $(if $(QUICK),--quick,--docs) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-workers:
	@bench/setup tools cometify redis
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.nodes --workers $(if $(QUICK),--quick,--docs) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-compare:
	@bench/setup tools cometify
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.compare $(if $(AGAINST),--against $(AGAINST)) $(if $(WORKS),--works $(WORKS)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-edge:
	@bench/setup tools cometify
	@scripts/need nginx nginx-light && scripts/need varnishd varnish gcc libc6-dev
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.edge $(if $(LISTENERS),--listeners $(LISTENERS)) $(if $(PUSHES),--pushes $(PUSHES))

bench-million:
	@bench/setup tools cometify redis
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.million $(if $(LISTENERS),--listeners $(LISTENERS)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(DOCS),--docs)

attacks:
	@bench/setup cometify
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.attacks $(if $(SECONDS),--seconds $(SECONDS)) $(if $(DOCS),--docs)

floods:
	@bench/setup cometify redis
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.floods $(if $(SECONDS),--seconds $(SECONDS)) $(if $(DOCS),--docs)

returning:
	@bench/setup tools cometify
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.floods.returning $(if $(LISTENERS),--listeners $(LISTENERS))

leaving:
	@bench/setup tools cometify redis
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.floods.leaving $(if $(LISTENERS),--listeners $(LISTENERS))

fuzz:
	@bench/setup cometify
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.fuzz --inputs $(or $(INPUTS),1000000) $(if $(SEED),--seed $(SEED))

races:
	@bench/setup cometify postgres
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.races $(if $(RACES),--races $(RACES))

outbox:
	@bench/setup cometify redis postgres
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.outbox $(if $(ROWS),--rows $(ROWS)) $(if $(KILLS),--kills $(KILLS))

restarts:
	@bench/setup cometify redis
	@scripts/need nginx nginx-light && scripts/need haproxy haproxy && scripts/need caddy caddy
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.restarts --docs $(if $(BALANCERS),--balancers $(BALANCERS))

accounts:
	@bench/setup cometify redis
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.accounts $(if $(LIVES),--lives $(LIVES))

soak:
	@bench/setup cometify redis
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.soak $(if $(MINUTES),--minutes $(MINUTES))
	@env -u PYTHONPATH bench/.build/venv/bin/python -m bench.campaigns.faults $(if $(ROUNDS),--rounds $(ROUNDS))

clean:
	rm -rf $(VENV) .cache build dist *.egg-info $(SITE) js/node_modules bench/.build bench/.peers
