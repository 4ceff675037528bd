# Two commands on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: check-types check-rest help clients console browser demo etcd faketime test check prove mutate cases bench bench-write bench-graph bench-read bench-flood bench-failover bench-erase bench-idle bench-against clean setup setup-dev lock
ARGS ?=
PROOFS ?=
PY := .venv/bin/python
# What Python has compiled is kept, also where the environment says otherwise (images for containers do): each of the
# processes of a fleet, and each command, begins up to half a second of processor time earlier, and each pytest 15 s.
export PYTHONDONTWRITEBYTECODE :=

help: ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## install what running needs into .venv
	@scripts/setup.sh runtime

setup-dev: ## install what testing needs too
	@scripts/setup.sh dev

console: setup ## fetch GraphiQL for /graphiql (Node comes as a wheel)
	@$(PY) -m scripts.console

clients: setup-dev ## fetch the stock GraphQL clients that tests run (Node comes as a wheel)
	@$(PY) -m scripts.clients

browser: ## install Debian's Chromium for the tests that click (as root)
	@scripts/browser.sh

demo: setup ## bring two regions up, load MITRE ATT&CK, show the promises; ARGS=--exit ends after the show
	@$(PY) -m scripts.console || echo "demo: it goes on without /graphiql" >&2
	@$(PY) -m intelgraph.cli.main demo $(ARGS)

etcd: ## put etcd into .cache for --control etcd and its tests, from Debian's package, without root
	@scripts/etcd.sh

faketime: ## put libfaketime into .cache for drills that set clocks, from Debian's package, without root
	@scripts/faketime.sh

check: check-types check-rest ## ruff, mypy --strict, import contracts, the tidy test, retired words; -j2 for two cores

check-types: setup-dev
	@.venv/bin/mypy

# Last: what pytest compiles of the tests while types are checked, no suite compiles again.
check-rest: setup-dev
	@.venv/bin/ruff check src tests bench scripts
	@.venv/bin/ruff format --check src tests bench scripts
	@.venv/bin/lint-imports
	@$(PY) scripts/tidy.py
	@$(PY) scripts/words.py
	@mkdir -p build && $(PY) -m pytest --collect-only -qq > build/collected.txt 2>&1 || { tail -n 40 build/collected.txt; exit 1; }

test: setup-dev ## everything that must hold, in suites (tests/suites.py); all failures at the end; PROOFS=tests/… runs proofs too
	@$(PY) -m scripts.console || echo "test: it goes on without /graphiql" >&2
	@$(PY) -m tests.suites $(if $(PROOFS),--proofs "$(PROOFS)")

prove: setup-dev ## the long real-process proofs, resumable; tables go to docs/proof/; ARGS=tests/… chooses some
	@$(PY) -m pytest -m prove --timeout 5400 $(ARGS)

mutate: setup-dev ## does a unit test fail when a decision is changed? resumable; ARGS="placement.failover --again" chooses
	@$(PY) -m scripts.mutation $(ARGS)

cases: setup-dev ## all generated cases, of which `make test` tries a quarter
	@$(PY) -m tests.suites --cases

bench: bench-write bench-graph bench-read bench-flood bench-failover bench-erase bench-idle ## every benchmark

bench-write: setup-dev ## writes: SQL, HTTP and remote durability against pgbench in the same run
	@$(PY) -m bench.write $(ARGS)

bench-graph: setup-dev ## questions about a tenant of 100,000 entities and 400,000 relationships
	@$(PY) -m bench.graph $(ARGS)

bench-read: setup-dev ## questions: GraphQL against Apollo Server, PostGraphile and pgbench over the same tables
	@$(PY) -m bench.read $(ARGS)

bench-flood: setup-dev ## honest requests' p99, and what processes grow, while documents and large answers flood one worker
	@$(PY) -m bench.flood $(ARGS)

bench-failover: setup-dev ## failover of 1,000,000 tenants against 1,000, in as many placements
	@$(PY) -m bench.failover $(ARGS)

bench-erase: setup-dev ## another tenant's writes while an entity with 50,000 relationships is erased
	@$(PY) -m bench.erase $(ARGS)

bench-idle: setup-dev ## processor time of two regions that nobody asks anything, by kind of part
	@$(PY) -m bench.idle $(ARGS)

bench-against: setup-dev ## the same load to this tree and to another one in turn: BASE=directory of the other
	@$(PY) -m bench.against $(BASE) $(ARGS)

lock: setup-dev ## pin the dependencies again (needs uv)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --all-extras -q pyproject.toml -o requirements/runtime.lock
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --all-extras --group dev -q pyproject.toml -o requirements/dev.lock -c requirements/runtime.lock

clean: ## stop the fleet and delete its data, caches and .venv
	@if [ -x $(PY) ]; then $(PY) -m intelgraph.cli.main down --wipe --yes || true; fi
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
