# What a developer does with PENNY. `make run` and `make test` need Python 3.11 or newer and make; all else is fetched.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON3 ?= python3
PYTHON := .venv/bin/python
ENVIRONMENT := .venv/.synced
UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv),.tools/uv/bin/uv)
# A file stays in one process: what its tests share is made once.
PYTEST_ARGS ?= -n 2 --dist loadfile
REFERENCE_TESTS ?= tests/api tests/chat tests/cli tests/clients tests/loaders tests/web
# What looks at connections or at starting, and at no operation's answer, is the same in both modes.
REFERENCE_LEFT_OUT := tests/cli/test_dev.py $(addprefix tests/web/test_,answers.py connections.py sieges.py socket_floods.py spending.py)
NPM_TREE_OF_CLIENTS := tests/clients/node_modules/.package-lock.json
PYTHON_OF_PEERS := bench/peers/.venv/.synced
GRAPHIQL := web/graphiql/dist/index.html

include tools.mk

.PHONY: help run test reference chaos siege mutants check docs schema migration sizes bench clients fmt environment lock

help: ## Show what there is to make.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: $(ENVIRONMENT) ## Set everything up and serve on this machine; DEV_ARGS are options of `penny dev`.
	@$(MAKE) -q $(GRAPHIQL) 2>/dev/null || $(MAKE) --no-print-directory $(GRAPHIQL) || echo "GraphiQL could not be built (the lines above say why); everything else runs without it."
	@.venv/bin/penny dev $(DEV_ARGS)

test: $(ENVIRONMENT) $(NPM_TREES) $(GRAPHIQL) ## Set everything up and run the tests; PYTEST_ARGS instead of "$(PYTEST_ARGS)".
	@$(PYTHON) -m pytest $(PYTEST_ARGS)

check: $(ENVIRONMENT) ## Everything that CI asks for: form, types, layers, generated files, tests.
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	.venv/bin/deptry .
	.venv/bin/penny schema check
	.venv/bin/penny documents check schema/manifests
	.venv/bin/penny settings | diff -u docs/settings.md -
	.venv/bin/penny errors | diff -u docs/errors.md -
	.venv/bin/penny metrics | diff -u docs/metrics.md -
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory reference

reference: $(ENVIRONMENT) $(NPM_TREES) $(GRAPHIQL) ## Run the tests that operations take part in once more, on graphql-core alone.
	@PENNY_TEST_EXECUTION=reference $(PYTHON) -m pytest $(PYTEST_ARGS) $(addprefix --ignore=,$(REFERENCE_LEFT_OUT)) $(REFERENCE_TESTS)

chaos: $(ENVIRONMENT) ## Kill the worker of each of a hundred answers and more, and web processes beside; CHAOS and PENNY_CHAOS_SEED choose how many and when.
	@PENNY_CHAOS=$(or $(CHAOS),120) $(PYTHON) -m pytest -n 0 -s tests/chat/test_chaos.py tests/chat/test_outages.py

siege: $(ENVIRONMENT) ## Let ten thousand connect and say nothing, in eight ways, and print what they cost; SIEGE says how many.
	@PENNY_SIEGE=$(or $(SIEGE),10000) $(PYTHON) -m pytest -n 0 -s tests/web/test_sieges.py

mutants: $(ENVIRONMENT) ## Break the compiler on purpose, in each way that is known, and print which trial noticed it.
	@$(PYTHON) -m tests.execution.mutants

fmt: $(ENVIRONMENT) ## Format the code and mend what ruff can mend.
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

schema: $(ENVIRONMENT) ## Write schema/schema.graphql, the manifests of PENNY's own clients and the tables in docs/ anew.
	.venv/bin/penny schema export
	$(PYTHON) -m tests.schema.clients
	.venv/bin/penny settings > docs/settings.md
	.venv/bin/penny errors > docs/errors.md
	.venv/bin/penny metrics > docs/metrics.md

docs: $(ENVIRONMENT) ## Make a site of the documentation in build/docs/site; a link that leads nowhere fails it.
	@$(PYTHON) -m docs.website
	@echo "To read it: $(PYTHON) -m http.server --bind 127.0.0.1 --directory build/docs/site"

migration: $(ENVIRONMENT) ## Write the skeleton of a migration: make migration name=add_colour.
	@.venv/bin/penny migrate --new "$(name)"

clients: $(ENVIRONMENT) $(NPM_TREE_OF_CLIENTS) $(GRAPHIQL) ## Run the tests that drive the server with npm's clients and a browser.
	@$(PYTHON) -m pytest -m clients $(CLIENTS_ARGS)

sizes: $(ENVIRONMENT) ## Print the longest files and functions.
	@$(PYTHON) .ci/sizes.py

bench: $(ENVIRONMENT) $(NPM_TREE_OF_PEERS) $(PYTHON_OF_PEERS) ## Measure PENNY and its peers; BENCH_ARGS=--quick for a short look, --only-talks or --only-wires for a part.
	@BENCH_NODE="$(NODE)" $(PYTHON) -m bench $(BENCH_ARGS)

# The Python peers need libraries that PENNY does not, in an environment of their own.
$(PYTHON_OF_PEERS): bench/peers/requirements.lock | $(ENVIRONMENT)
	@$(UV) venv --quiet --allow-existing --python "$(abspath $(PYTHON))" bench/peers/.venv
	@$(UV) pip sync --quiet --require-hashes --python bench/peers/.venv bench/peers/requirements.lock
	@touch $@

environment: $(ENVIRONMENT) ## Make the Python environment in .venv.

$(ENVIRONMENT): pyproject.toml requirements.lock | $(filter .tools/%,$(UV))
	@{ $(UV) venv --quiet --allow-existing --python "$$($(PYTHON3) -c 'import sys; print(sys.executable)')" .venv \
		&& $(UV) pip sync --quiet --require-hashes requirements.lock && $(UV) pip install --quiet --no-deps --editable . ; } || { \
		echo "uv could not make .venv. It needs the package index: uv reads no settings of pip, but UV_DEFAULT_INDEX, UV_FIND_LINKS and uv.toml." >&2; exit 1; }
	@touch $@

lock: $(filter .tools/%,$(UV)) ## Resolve the dependencies of pyproject.toml anew; the lock holds versions and hashes, and names no index.
	$(UV) lock --upgrade
	$(UV) export --quiet --frozen --all-groups --no-emit-project --no-header --no-annotate --format requirements-txt --output-file requirements.lock
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--constraint requirements.lock --output-file bench/peers/requirements.lock bench/peers/requirements.in

.tools/uv/bin/uv:
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"PENNY needs Python 3.11 or newer; $(PYTHON3) is {sys.version.split()[0]}. Try: make PYTHON3=python3.12")'
	@$(PYTHON3) -m venv .tools/uv || { echo "Python has no venv here; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@.tools/uv/bin/python -m pip install --quiet "uv==$(UV_VERSION)"
