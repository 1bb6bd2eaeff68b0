PYTHON ?= python3
BIN := .venv/bin
JS := tests/interop/js
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: venv demo test browser-client lint format types imports docs diagrams check clean

venv: .venv/.dev

# pip comes first: dependency groups need a newer one than Python 3.11 brings.
.venv/.runtime: pyproject.toml constraints.txt
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade --constraint constraints.txt pip
	$(PIP) install --quiet --constraint constraints.txt --build-constraint constraints.txt --editable '.[all]'
	touch $@

.venv/.dev: .venv/.runtime
	$(PIP) install --quiet --constraint constraints.txt --group dev
	touch $@

.venv/.docs: .venv/.runtime
	$(PIP) install --quiet --constraint constraints.txt --group docs
	touch $@

demo: .venv/.runtime
	$(BIN)/stompcore demo

$(JS)/node_modules/.installed: $(JS)/package.json
	cd $(JS) && npm install --no-package-lock --no-audit --no-fund
	touch $@

browser-client:
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		$(MAKE) --no-print-directory $(JS)/node_modules/.installed; \
	elif [ "$$STOMPCORE_REQUIRE_ALL" = 1 ]; then \
		echo "The browser-client tests must run, and Node.js with npm is not installed." >&2; exit 1; \
	else \
		echo "Node.js with npm is not installed, so the browser-client tests are skipped."; \
	fi

test: .venv/.dev browser-client
	rm -f .coverage .coverage.* junit.xml
	$(BIN)/coverage run -m pytest --junitxml=junit.xml
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/.dev
	$(BIN)/mypy

imports: .venv/.dev
	$(BIN)/lint-imports --no-logo

# The variable silences the theme's advertisement of its successor, which strict mode lets pass.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -W error -m mkdocs build --strict

diagrams: .venv/.runtime
	$(BIN)/python docs/_generate.py
	$(BIN)/python -m docs._client_machine

check: lint types imports test docs

clean:
	rm -rf .venv $(JS)/node_modules build dist site htmlcov .coverage .coverage.* junit.xml
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
