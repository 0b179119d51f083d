# One command each; `make` alone lists them. Everything is put into .venv and nothing into the system, but for
# Debian's programs that the live tests run, and a compiler (`programs`, as root only).
#
# Two stamps say what .venv holds: .run (what bamdmux needs, and bamdmux itself, built and installed as a user
# gets it, so that tests see the package and not the source tree) and .dev (what checks and tests need). When only
# src/ changed, only the package is built and installed again; when nothing changed, pip does not run.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV := .venv
python := $(VENV)/bin/python
pip := $(python) -m pip --disable-pip-version-check --quiet --quiet

# With the folders: a file that was removed or renamed changes its folder.
sources := $(shell find src scripts/build_pump.py -name __pycache__ -prune -o -name '*.so' -o -print)

# A .venv whose interpreter is gone (moved, upgraded) is made anew.
$(shell test -x $(python) || rm -f $(VENV)/pyvenv.cfg)

.PHONY: help run test lint format types imports spelling unit live sanitize pump sim explore bench soak coverage-by-module mutants fuzz malformed sweep dist programs peers clean

help:  ## list these commands
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## /{printf "  make %-20s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  PYTHON=/path/to/python3 chooses the interpreter of a new .venv"

run: $(VENV)/.run  ## set up, then play examples/first_packets.py
	@$(python) examples/first_packets.py

# The pump under sanitizers and what needs no TUN take a processor each. What is live is alone: load changes it.
test: programs $(VENV)/.run $(VENV)/.dev lint types imports spelling  ## everything: checks, then all tests
	@mkdir -p build; $(MAKE) sanitize >build/sanitize.log 2>&1 & sanitize=$$!; \
	$(python) -m pytest -m "not live" || { wait $$sanitize; exit 1; }; \
	wait $$sanitize || { cat build/sanitize.log; exit 1; }; tail -n 1 build/sanitize.log
	$(python) -m pytest -m live

lint: $(VENV)/.dev  ## ruff: format and rules
	$(python) -m ruff format --check .
	$(python) -m ruff check .

format: $(VENV)/.dev  ## let ruff mend what it can
	$(python) -m ruff check --fix-only .
	$(python) -m ruff format .

types: $(VENV)/.dev  ## mypy, strict, on src
	$(python) -m mypy

imports: $(VENV)/.dev  ## the layers: imports point down
	PYTHONPATH=src $(python) -c 'from importlinter.cli import lint_imports_command as main; main()' --no-logo

spelling: $(VENV)/.dev  ## codespell
	$(python) -m codespell_lib

unit: $(VENV)/.run $(VENV)/.dev  ## tests that need no TUN
	$(python) -m pytest -m "not live"

live: programs $(VENV)/.run $(VENV)/.dev  ## tests with a real TUN in namespaces
	$(python) -m pytest -m live

# The package is built once more, with a pump that stops at the first read or write out of place, and the pump's
# tests run with that one. Python itself is not built so: its leaks are not looked for, and libasan comes first.
sanitized := build/sanitized
sanitizer_flags := -g -O1 -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

sanitize: $(VENV)/.run $(VENV)/.dev  ## the native pump's tests under AddressSanitizer and UBSan
	@if ! $(python) -c 'import bamdmux._pump' 2>/dev/null; then echo "note: no pump was built, so there is none to check" >&2; exit 0; fi; \
	rm -rf $(sanitized); \
	CFLAGS="$(sanitizer_flags)" $(pip) install --no-index --no-deps --no-build-isolation --target $(sanitized) .; \
	echo "the pump's tests, with sanitizers"; \
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=$(sanitized) \
	    $(python) -m pytest -q -p no:cacheprovider tests/pump

pump: $(VENV)/.run  ## the native pump beside its source, for PYTHONPATH=src
	@$(python) scripts/build_pump.py

# After an interruption it says where to go on: make sim SIM_START=4711 SIM_SEEDS=15290
SIM_START := 1
SIM_SEEDS := 20000

sim: $(VENV)/.run  ## simulation: 20,000 seeds with faults, over all cores
	@$(VENV)/bin/bamdmux sim --seed $(SIM_START) --seeds $(SIM_SEEDS)

explore: $(VENV)/.run  ## bounded model checking: every order of a few events, over all cores, some minutes
	@$(VENV)/bin/bamdmux explore

# Fewer: make bench BENCH=--quick; every name: make bench BENCH=--list
BENCH :=

bench: peers $(VENV)/.run  ## how fast it is beside named peers, in one run: docs/performance.md, some 20 minutes
	@$(VENV)/bin/bamdmux bench $(BENCH)

soak: programs $(VENV)/.run $(VENV)/.dev  ## every kind of link: 1 GiB each way, ten minutes of load, 1,000 deaths
	@$(python) scripts/soak.py

coverage-by-module: $(VENV)/.run $(VENV)/.dev  ## each test file alone against its own module
	@$(python) scripts/coverage_by_module.py

# Five minutes of two processors, and so not in CI. Other modules, or fewer: make mutants MUTANTS="host/power.py 'wire/*.py'"
MUTANTS :=

mutants: $(VENV)/.dev  ## small bugs in wire, bam, host, modem/power.py: do the tests notice?
	@$(python) scripts/mutants.py $(MUTANTS)

# Longer, one target, or with a new corpus: make fuzz FUZZ_SECONDS=600 FUZZ="pipes --update"
FUZZ_SECONDS := 60
FUZZ :=

fuzz: $(VENV)/.run $(VENV)/.fuzz  ## coverage-guided fuzzing, a minute for each target
	@$(python) -m fuzz run --seconds $(FUZZ_SECONDS) $(FUZZ)

malformed: $(VENV)/.run  ## 10 million malformed frames a hostile modem sends: frames a second, memory
	@$(python) benchmarks/malformed_frames.py

# All faults at all messages; some take minutes, so that many sessions wait side by side. Fewer: make sweep SWEEP="--sessions 4"
SWEEP :=

sweep: programs $(VENV)/.run $(VENV)/.dev  ## ModemManager and a modem that spoils one answer: docs/modemmanager.md
	@$(python) scripts/sweep.py $(SWEEP)

dist: $(VENV)/.dev  ## wheel and source archive in dist/
	$(python) -m build --no-isolation --outdir dist .

clean:  ## remove .venv and all that was built or cached
	rm -rf $(VENV) dist build htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	    .import_linter_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f src/bamdmux/*.so

# The first interpreter that is new enough and can make a venv with pip in it.
$(VENV)/pyvenv.cfg:
	@for candidate in $(or $(PYTHON),/usr/bin/python3 python3); do \
	    if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "making $(VENV) with $$candidate"; \
	        exec "$$candidate" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "no Python >= 3.11 with venv among: $(or $(PYTHON),/usr/bin/python3 python3);" \
	    "on Debian: apt-get install python3-venv, or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1

# What pyproject.toml asks for, one requirement a line; $(1) is an expression over `project`, `build` and `extras`.
# Who clones this gets the clients; bamdmux itself is not asked of others.
requirements = $(python) -c 'import tomllib; f = tomllib.load(open("pyproject.toml", "rb")); \
    project, build = f["project"], f["build-system"]["requires"]; extras = project["optional-dependencies"]; \
    print(*(each for each in $(1) if not each.startswith("bamdmux")), sep="\n")'

# A stamp bears the time at which its work began, so that a file saved meanwhile counts as changed.
$(VENV)/.run: $(VENV)/pyvenv.cfg pyproject.toml $(sources)
	@touch $@.begun
	@if [ -n "$(filter-out $(sources),$?)" ]; then \
	    echo "installing what bamdmux needs into $(VENV)"; \
	    $(call requirements,build + project["dependencies"] + extras["clients"]) >$(VENV)/run.txt; \
	    $(pip) install -r $(VENV)/run.txt; \
	fi
	@echo "installing bamdmux into $(VENV)"
	@$(pip) install --no-index --no-deps --no-build-isolation --force-reinstall .
	@$(python) -c 'import bamdmux._pump' 2>/dev/null || \
	    echo "note: without the native pump, and so slower; on Debian: apt-get install $(compiler)" >&2
	@mv $@.begun $@

$(VENV)/.dev: $(VENV)/pyvenv.cfg pyproject.toml
	@touch $@.begun
	@echo "installing what checks and tests need into $(VENV)"
	@$(call requirements,build + project["dependencies"] + extras["clients"] + extras["dev"]) >$(VENV)/dev.txt
	@$(pip) install -r $(VENV)/dev.txt
	@mv $@.begun $@

# The fuzzer, for `fuzz` alone: it is large, and there is none for every interpreter and machine.
$(VENV)/.fuzz: $(VENV)/pyvenv.cfg pyproject.toml
	@touch $@.begun
	@echo "installing the fuzzer into $(VENV)"
	@$(call requirements,project["optional-dependencies"]["fuzz"]) >$(VENV)/fuzz.txt
	@$(pip) install -r $(VENV)/fuzz.txt
	@mv $@.begun $@

# Programs that the live tests run, each with its Debian package; tests that miss one skip, and say so. And what
# compiles the native pump: when it comes only now, the package has to be built again.
compiler := gcc libc6-dev python3-dev

programs:
	@missing=; PATH="$$PATH:/usr/sbin:/sbin"; \
	for pair in ping:iputils-ping curl:curl iperf3:iperf3 socat:socat ip:iproute2 ps:procps unshare:util-linux passt:passt ofonod:ofono \
	    /usr/share/ofono/scripts/list-modems:ofono-scripts dbus-daemon:dbus-daemon \
	    ModemManager:modemmanager qmicli:libqmi-utils /usr/libexec/qmi-proxy:libqmi-proxy; do \
	    command -v "$${pair%%:*}" >/dev/null || missing+=" $${pair#*:}"; \
	done; \
	headers="$$($(or $(PYTHON),/usr/bin/python3) -c 'import sysconfig; print(sysconfig.get_path("include"))' || true)"; \
	if ! command -v cc >/dev/null || ! [ -e "$$headers/Python.h" ]; then missing+=" $(compiler)"; fi; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "note: live tests and the native pump want$$missing; on Debian: sudo apt-get install$$missing" >&2; exit 0; \
	fi; \
	echo "installing$$missing for live tests and the native pump"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null && \
	apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $$missing </dev/null >/dev/null && \
	case "$$missing" in *"$(compiler)"*) rm -f $(VENV)/.run;; esac

# What `bench` compares with. Who is missing is left out, and named.
peer_packages := gcc libc6-dev iperf3 iproute2 openvpn passt slirp4netns socat vde2 wireguard-go

peers:  ## install what `bench` compares with, as root on Debian
	@missing="$$(for package in $(peer_packages); do dpkg -s "$$package" >/dev/null 2>&1 || printf ' %s' "$$package"; done)"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "note: bench compares with more where there are$$missing; on Debian: sudo apt-get install$$missing" >&2; exit 0; \
	fi; \
	echo "installing$$missing for bench"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null && \
	apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $$missing </dev/null >/dev/null
