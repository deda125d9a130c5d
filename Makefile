# Every target is one sentence of `make help`; what it does is in dev/.

PYTHON ?= python3
UV ?= uv
# Options for pytest, such as PYTEST_ARGS="-x tests/unit", for the benchmarks and for the demo.
PYTEST_ARGS ?=
BENCH_ARGS ?=
LOAD_ARGS ?=
# How long a soak is: events, courses, and the share of the events that announce a real edit.
SOAK_EVENTS ?= 1000000
SOAK_COURSES ?= 10000
SOAK_EDITS ?= 0.1
SOAK_ARGS ?=
DEMO_ARGS ?=
# Messages of each class, and seconds of coverage-guided fuzzing.
FUZZ_EXAMPLES ?= 10000
FUZZ_SECONDS ?= 60
# The servers that tests run on: Debian's own, or MATRIX=next: newer ones (docs/operations/servers.md).
MATRIX ?=
TEST_MODE := $(or $(MATRIX),services)
# Tests and benchmarks have servers of their own, so that those of `make up` are left alone.
TEST_FOLDER ?= $(if $(MATRIX),.run/$(MATRIX)-test,.run/test)
# So many processes of pytest at a time, each with servers of its own: one more than the two cores that the
# suite is made for, since each waits for a quarter of its time.
PROCESSES ?= 3
TEST_NUMBERS := $(shell seq 2 $(PROCESSES))
TEST_SERVERS := --folder $(TEST_FOLDER)-1 $(TEST_NUMBERS:%=--and-folder $(TEST_FOLDER)-%)
TEST_SPLIT := $(if $(TEST_NUMBERS),--numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder)
BENCH_FOLDER ?= .run/bench
BENCH_MODES ?= services embedded

BIN := .venv/bin
SERVERS := $(BIN)/python -m dev.servers
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-config --custom-compile-command "make lock"

ifneq ($(filter-out next,$(MATRIX)),)
$(error MATRIX is "next" or nothing)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test check audit fuzz up down status bench soak load lock clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name sentence; \
		do printf '  make %-8s %s\n' "$$name" "$$sentence"; done

demo: MODE ?= embedded
demo: ## Run everything on this machine and watch a publish arrive (MODE=embedded|services, DEMO_ARGS=--stay).
	@$(PYTHON) dev/bootstrap.py $(MODE)
	@$(BIN)/python -m dev.demo --mode $(MODE) $(DEMO_ARGS)

test: ## Run all checks and all tests on private servers (PYTEST_ARGS=… for pytest, MATRIX=next: newer servers).
	@$(PYTHON) dev/bootstrap.py test
	@[ -z "$(MATRIX)" ] || $(PYTHON) dev/bootstrap.py $(MATRIX)
	@$(MAKE) --no-print-directory check
	@$(SERVERS) run --mode $(TEST_MODE) $(TEST_SERVERS) -- $(BIN)/pytest $(TEST_SPLIT) $(PYTEST_ARGS)

check: ## Run the linters, the type checker and the import rules.
	@$(PYTHON) dev/bootstrap.py test
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m dev.audit

audit: ## Ask whether a locked package has a known vulnerability; warns where nobody can be asked.
	@$(PYTHON) dev/bootstrap.py test
	@$(BIN)/python -m dev.audit

fuzz: ## Fuzz the intake: hostile messages by the ten thousands, what they cost, then atheris for FUZZ_SECONDS.
	@$(PYTHON) dev/bootstrap.py test
	@OVERVIEW_HOSTILE_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -q tests/unit/test_hostile_messages.py
	@$(BIN)/python -m benchmarks.hostile_messages
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
		--no-deps --only-binary :all: -r requirements/fuzz.txt || true
	@$(BIN)/python -m fuzz.fuzz_intake -max_total_time=$(FUZZ_SECONDS) .run/fuzz

up: MODE ?= services
up: ## Start the private servers and leave them running (MODE=services|embedded|next).
	@$(PYTHON) dev/bootstrap.py $(MODE)
	@$(SERVERS) up --mode $(MODE)

down: MODE ?= services
down: ## Stop the servers that `make up` has started.
	@$(SERVERS) down --mode $(MODE)

status: MODE ?= services
status: ## Say which servers run.
	@$(SERVERS) status --mode $(MODE)

bench: ## Measure on private servers (BENCH_MODES="services embedded", BENCH_ARGS=--quick).
	@$(PYTHON) dev/bootstrap.py services
	@for mode in $(BENCH_MODES); do \
		$(SERVERS) run --mode $$mode --folder $(BENCH_FOLDER)/$$mode -- \
			$(BIN)/python -m benchmarks --mode $$mode $(BENCH_ARGS) || exit 1; \
	done

soak: ## Drive SOAK_EVENTS events through it with a kill every 2 s; before that, long faults (SOAK_FAULTS=no: not).
	@$(PYTHON) dev/bootstrap.py test
	@[ "$(SOAK_FAULTS)" = no ] || OVERVIEW_FAULTS=long $(SERVERS) run --mode services \
		--folder $(BENCH_FOLDER)/soak -- $(BIN)/pytest -q tests/faults
	@$(SERVERS) run --mode services --folder $(BENCH_FOLDER)/soak -- \
		$(BIN)/python -m benchmarks.soak --events $(SOAK_EVENTS) --courses $(SOAK_COURSES) \
			--edits $(SOAK_EDITS) $(SOAK_ARGS)

load: ## Let many learners ask at once, with Locust (LOAD_ARGS="--users 100 --seconds 120").
	@$(PYTHON) dev/bootstrap.py services
	@$(SERVERS) run --mode services --folder $(BENCH_FOLDER)/load -- \
		$(BIN)/python -m benchmarks.load $(LOAD_ARGS)

lock: ## Choose package versions anew and write requirements/*.txt (needs uv).
	@command -v $(UV) >/dev/null || { echo "uv is needed, for example: pipx install uv"; exit 2; }
	@mkdir -p requirements
	@$(LOCK) --upgrade --group build --output-file requirements/build.txt
	@$(LOCK) --upgrade --extra mysql --group embedded --group dev \
		--constraints requirements/build.txt --output-file requirements/dev.txt pyproject.toml
	@$(LOCK) --upgrade --group embedded \
		--constraints requirements/dev.txt --output-file requirements/embedded.txt pyproject.toml
	@$(LOCK) --upgrade --group fuzz --output-file requirements/fuzz.txt

clean: ## Stop every private server and remove its data, the virtual environment and all caches.
	@for mode in .run/*/mode; do [ ! -f "$$mode" ] || \
		$(SERVERS) down --folder "$$(dirname "$$mode")" || exit 1; done
	@rm -rf .venv .run .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
