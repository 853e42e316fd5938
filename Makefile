# Everything a fresh machine needs is Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup model serve test soak check format lock sbom bench-setup bench docs images up down dist clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "twinscore needs Python 3.11 or newer: set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

model: setup
	@$(BIN)/twinscore models ensure

serve: model
	@$(BIN)/twinscore serve both --smoke

test: model
	$(BIN)/python -m pytest -n auto --dist loadfile

# An hour of mixed load with restarts, kills and hostile requests; `twinscore soak --help` for less, and for more.
soak: model
	@$(BIN)/twinscore soak --only mixed --minutes $(or $(MINUTES),60)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup
	./requirements/lock.sh

# What the serving profiles are made of, as CycloneDX documents.
sbom: setup
	$(BIN)/python sbom/generate.py

# The book, in build/docs.
docs: setup
	$(BIN)/sphinx-build -q -W -b html docs build/docs
	@echo "build/docs/index.html"

# Both images; see docs/images.md.
images: model
	./deploy/docker/build.sh

COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo $(BIN)/docker-compose)

# Both variants, the proxy before them, and what watches them.
up: images
	$(COMPOSE) up --detach --wait --no-build

down:
	$(COMPOSE) down

# Wheel and source distribution, in dist/.
dist: setup
	rm -rf dist
	$(BIN)/python -m hatchling build

# What `twinscore bench` runs besides our own services. EXTRA=1 adds Ray Serve and MLServer.
bench-setup: setup .venv-bench/.ready benchmarks/.cache/node/.ready $(if $(EXTRA),.venv-bench-extra/.ready)
	@command -v wrk >/dev/null && command -v taskset >/dev/null || echo "install wrk and util-linux too (Debian: apt-get install wrk util-linux)"

.venv-bench/.ready: requirements/bench.txt
.venv-bench-extra/.ready: requirements/bench-extra.txt
.venv-bench/.ready .venv-bench-extra/.ready:
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check -q --require-hashes -r $<
	@touch $@

benchmarks/.cache/node/.ready: benchmarks/load/package.json benchmarks/load/package-lock.json
	mkdir -p $(@D)
	cp $^ $(@D)/
	cd $(@D) && npm ci --silent --no-audit --no-fund
	@touch $@

bench: model
	@$(BIN)/twinscore bench

clean:
	rm -rf $(VENV) .venv-bench .venv-bench-extra benchmarks/.cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
