# Two commands do it all on a fresh machine: `make run` shows the system at work, `make test` proves it.
# Each is safe to run again. KAFKA=host:port uses a broker that runs already.

PYTHON ?= python3
BIN := .venv/bin
ENVIRONMENT := .venv/.complete

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

# The tests wait more than they compute, so two share a processor; each has a broker of its own, so six are enough.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -lt 3 ] && echo $$((2 * n)) || echo 6)
PARALLEL := --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
TESTS := tests/integration tests/unit tests/property tests/providers

# Tests start hundreds of programs. Where the variable is set, as in many containers, each would compile its modules anew,
# and each worker those of all tests.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help env run test coverage tools chaos soak bench lint format schemas freeze metrics settings lock wheel sbom chart image \
	tagged clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 10

env: $(ENVIRONMENT)  ## the environment only, in .venv

$(ENVIRONMENT): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12")'
	@echo "Preparing .venv (once, about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: env  ## the whole system on a local Kafka, with one signed delivery per contract; ONCE=1 ends after the tour
	@$(BIN)/dropstream up $(if $(ONCE),--once)

test: env  ## every test, on a real local Kafka; REQUIRE_KAFKA=1 makes its absence a failure
	@PYTHON=$(PYTHON) deploy/tools/fetch
	@# Files are dealt out in this order: the long ones first, so that no worker ends long after the others.
	@$(BIN)/pytest $(PARALLEL) $(TESTS)

coverage: env  ## what no test reaches, by lines and branches, under all tests; ONLY=tests/unit for some of them
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q $(PARALLEL) $(or $(ONLY),$(TESTS))
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --sort=cover

tools:  ## what tests of deploy/ and examples use, in .dropstream/tools: parsers, promtool, Helm, Node packages; REQUIRE_TOOLS=1 as above
	@PYTHON=$(PYTHON) deploy/tools/fetch --build

lint: env  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: env  ## puts the code in form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

chaos: env  ## faults at length: 100,000 deliveries through the processors', the ingress's (an hour), a replay killed thrice
	@$(BIN)/python -m tests.chaos.processors
	@$(BIN)/python -m tests.chaos.ingress
	@$(BIN)/python -m tests.chaos.replay

soak: env  ## an hour at 1,000 deliveries a second through the whole system; RATE=n, MINUTES=n, PUBLISH=1 (into docs/)
	@$(BIN)/python -m tests.soak $(if $(RATE),--rate $(RATE)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PUBLISH),--publish)

bench: env  ## what a delivery costs, ours beside the obvious program; QUICK=1, ONLY=part, PUBLISH=1 (into docs/)
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(PUBLISH),--publish)

schemas: env  ## writes the JSON Schemas, the AsyncAPI document and the page of the topics anew from the code
	@$(BIN)/dropstream schemas export schemas/json --page docs/topics.html

freeze: env  ## keeps the schemas of today as those of the released version; once a release, and never changed after
	@version=$$($(BIN)/python -c 'from importlib.metadata import version; print(version("dropstream"))'); \
		folder=schemas/json/released/$$version; \
		test ! -e $$folder || { echo "$$folder is released already; give pyproject.toml the new version first" >&2; exit 1; }; \
		mkdir -p $$folder && cp schemas/json/*.v1.json $$folder/ && rm $$folder/asyncapi.v1.json && echo $$folder

metrics: env  ## writes the table of all metrics anew from the code
	@$(BIN)/python -m ops.docs.metrics_table docs/metrics.md

settings: env  ## writes the page of all settings, and the chart's values, anew from the code
	@$(BIN)/python -m ops.docs.settings_page docs/settings.md
	@$(BIN)/python -m ops.docs.chart.write .

lock: env  ## pins every dependency anew, with hashes
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --extra in-memory --extra otel \
		--output-file requirements.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --extra in-memory --extra otel --group dev \
		--constraint requirements.txt --output-file requirements-dev.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --extra kafka \
		--constraint requirements.txt --output-file examples/python/requirements.txt examples/python/pyproject.toml
	@for folder in examples/node deploy/tools/quicktype; do \
		npm install --prefix $$folder --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --silent || exit 1; done
	@cd examples/go && go mod tidy

wheel: env  ## the wheel and the source archive of this version, in dist/
	@# From the archive, so that it is known to hold all that a wheel needs; the time is the commit's, so that all agree.
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python \
		--out-dir dist

sbom:  ## what this version is built from, out of requirements.txt: dist/dropstream-VERSION.cdx.json, CycloneDX 1.6
	@PYTHON=$(PYTHON) deploy/tools/fetch >/dev/null
	@mkdir -p dist
	@# The tool finds it strange that a list of packages says nothing of who needs whom.
	@.dropstream/tools/python/bin/python -W ignore::UserWarning -m cyclonedx_py requirements requirements.txt \
		--pyproject pyproject.toml --short-PURLs --output-reproducible --output-file dist/dropstream-$(VERSION).cdx.json

chart:  ## the Helm chart as a package, in dist/, with the Helm of make tools
	@.dropstream/tools/helm package deploy/helm/dropstream --destination dist

image:  ## the image, with Docker; PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... pins what it stands on
	@docker build --file deploy/Dockerfile --tag dropstream:$(VERSION) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD) $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) .

tagged:  ## fails unless TAG=v... is the version of this checkout; a release begins with it
	@test "$(TAG)" = "v$(VERSION)" || { echo "the tag is $(TAG), and pyproject.toml says $(VERSION)" >&2; exit 1; }

clean:  ## removes the environment, caches, and the local broker with its data
	@test ! -x $(BIN)/dropstream || $(BIN)/dropstream kafka stop >/dev/null 2>&1 || true
	@rm -rf .venv .dropstream .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* build dist *.egg-info
