# Everything a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Prints a command as it would be typed, then runs it.
run = printf '\n\033[1m$$ %s\033[0m\n' '$(1)' && PATH="$(CURDIR)/$(BIN):$$PATH" $(1)

.PHONY: install demo test check docs recordings lock

install: $(INSTALLED)

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "aivax needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install
	@printf 'To repeat these commands by hand: source $(BIN)/activate\n'
	@$(call run,aivax ingest ./docs --collection kb)
	@$(call run,aivax complete demo "Which search strategy is the default?" --cost)

test: install
	$(BIN)/python -m pytest -n 2

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --no-warn-unreachable
	$(BIN)/lint-imports
	$(BIN)/aivax gateways validate
	$(BIN)/aivax ingest --collection library --quiet
	AIVAX_OFFLINE=1 $(BIN)/aivax check --replay
	$(BIN)/python -m aivax_cli.cli.reference --check

# The documents that are made from the program itself, and the outputs in the READMEs.
docs: install
	$(BIN)/python -m aivax_cli.cli.reference
	$(BIN)/python tests/support/readme.py

# The recorded session and the pictures in docs/; the one of the playground needs Chromium.
recordings: install
	$(BIN)/python tests/support/recordings.py

# Needs uv; the lock is what `make install` installs, hashes and all.
lock:
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --extra local --group dev \
	  --no-annotate --no-header pyproject.toml -o requirements/dev.txt
