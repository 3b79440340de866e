# The way in is two commands: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test soak bench install lint pins docs clean

demo: install
	@$(BIN)/seam demo

test: install parts
	@$(BIN)/python -m pytest tests --numprocesses 2 --dist loadfile --no-loadscope-reorder

soak: install parts
	@$(BIN)/python -m pytest tests -m soak

bench: install parts
	@$(BIN)/python -m benchmarks

install: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is missing as '$(PYTHON)': apt-get install python3.11 python3.11-venv, or make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "venv is missing: apt-get install python3-venv"; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: parts
parts: install
	@command -v javac >/dev/null || { echo "a JDK 17 is missing: apt-get install openjdk-17-jdk-headless"; exit 2; }
	@command -v mvn >/dev/null || { echo "Maven is missing: apt-get install maven"; exit 2; }

lint: install
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

# Pins with hashes and without download addresses, from what pyproject.toml asks for.
pins: install
	@$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--allow-unsafe --strip-extras --extra test --output-file requirements.txt pyproject.toml

# The pages under docs/reference, from the declarations.
docs: install
	@$(BIN)/python -c "from connectors.reference import options_page; open('docs/reference/options.md', 'w').write(options_page())"

clean:
	rm -rf $(VENV) .stack build *.egg-info
