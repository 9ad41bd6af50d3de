# Each target does what it needs first, so that one command on a fresh clone is enough. `make` alone lists them.

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
BIN := .venv/bin
STAMP := .venv/installed
DEMO_OUT ?= demo-output
TESTS ?=
# Processes that run the tests side by side; those of the window share one.
JOBS ?= logical

# The window's tests need a display server and what Qt and OpenGL load; on Debian and its kin these packages hold them.
SYSTEM := xvfb xauth libegl1 libgl1 libgl1-mesa-dri libglx-mesa0 libxkbcommon-x11-0 libdbus-1-3 libfontconfig1 \
	libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 \
	libxcb-xfixes0 libxcb-xinerama0 libxcb-xkb1
MISSING = $(shell command -v dpkg-query >/dev/null && for p in $(SYSTEM); do \
	dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)
# Root, or sudo that asks for no password.
APT = $(shell command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] && echo "apt-get" || \
	{ sudo -n true 2>/dev/null && echo "sudo -n apt-get"; }; })
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo )

.PHONY: help venv system demo demo-window screenshots test test-fast lint types contracts docs clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv and install the project into it with all that developing needs

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found. Install one, or name it: make venv PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m ensurepip --version >/dev/null 2>&1 || { \
		set -- $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		echo "$(PYTHON) cannot make virtual environments: it lacks $$1."; \
		if [ -n "$(APT)" ]; then $(APT) update -q && $(APT) install -q -y --no-install-recommends $$1; \
		else echo "Install it: $(AS_ROOT)apt-get install $$1"; exit 1; fi; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[dev]"
	@touch $@

system: ## install the system libraries of the window's tests where that is allowed, else name them
	@missing="$(strip $(MISSING))"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -n "$(APT)" ]; then \
		echo "Installing system libraries: $$missing"; \
		$(APT) update -q && DEBIAN_FRONTEND=noninteractive $(APT) install -q -y --no-install-recommends $$missing; \
	else \
		echo "The tests of the window are left out: these system libraries are missing and only root may install them:"; \
		echo "    $(AS_ROOT)apt-get install $$missing"; \
	fi

demo: venv ## train, predict and export on the bundled real sample, into demo-output/
	$(BIN)/napari-pytc demo --out $(DEMO_OUT)

demo-window: venv ## open the bundled sample in napari, ready to paint; its project is in demo-output-window/
	$(BIN)/napari-pytc demo --window --out $(DEMO_OUT)-window

# Compiled tests are kept even where the environment asks for none: every process would compile them anew.
test test-fast: export PYTHONDONTWRITEBYTECODE =
# Without Qt's libraries pytest-qt cannot even be loaded, so the window's tests are left out with it.
RUN_TESTS = if [ -n "$(strip $(MISSING))" ]; then set -- -p no:pytest-qt --ignore=tests/ui; else set --; fi; \
	set -- $(BIN)/python -m pytest -n $(JOBS) --dist loadscope "$$@" $(WHICH) $(TESTS); \
	if command -v xvfb-run >/dev/null; then set -- xvfb-run -a -s "-screen 0 1600x1000x24" "$$@"; fi; \
	echo "$$*"; "$$@"

test: venv system ## run all tests (TESTS="tests/geometry -k box" runs some)
	@$(RUN_TESTS)

test-fast: WHICH := -m "not slow"
test-fast: venv system ## run the tests without a real window, another process, or a training: about five minutes
	@$(RUN_TESTS)

lint: venv ## ruff: errors, style, formatting
	$(BIN)/ruff check --no-cache  # the cache does not see that a module of ours has come or gone
	$(BIN)/ruff format --check

types: venv ## mypy
	$(BIN)/mypy

contracts: venv ## which room may import which (import-linter)
	$(BIN)/lint-imports

docs: venv ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

screenshots: venv system ## take the tutorial's pictures from the real window, into docs/images/
	xvfb-run -a -s "-screen 0 1600x1000x24" $(BIN)/python docs/take_screenshots.py

clean: ## remove .venv and all that was built
	rm -rf .venv build dist site demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
