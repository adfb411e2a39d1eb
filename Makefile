# Everything begins here. The scripts install what is missing and say what they install.
.DEFAULT_GOAL := help
.PHONY: help venv lab lab-down test test-vm check bench scores clean

# Hundreds of processes import our modules: some machines' settings have each compile them anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
BOOTSTRAP := deployments/bootstrap
WITH_DOCKER := $(BOOTSTRAP)/with_docker.sh

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

venv: ## the Python environment, from hash-locked dependencies
	@$(BOOTSTRAP)/venv.sh requirements.lock

lab: ## boot the lab and show the main job in it, end to end
	@$(BOOTSTRAP)/tools.sh
	@$(BOOTSTRAP)/venv.sh requirements.lock
	@$(BOOTSTRAP)/engine.sh
	@$(WITH_DOCKER) $(PYTHON) -m infra.images ensure --lab
	@$(WITH_DOCKER) $(PYTHON) -m deployments.lab up

lab-down: ## remove every trace of the lab
	@if [ -x $(PYTHON) ]; then $(WITH_DOCKER) $(PYTHON) -m deployments.lab down; else echo "There is no lab: nothing was ever installed."; fi

test: ## the whole test suite, against a lab of its own
	@$(BOOTSTRAP)/tools.sh chromium
	@$(BOOTSTRAP)/venv.sh requirements-dev.lock
	@$(BOOTSTRAP)/engine.sh
	@$(WITH_DOCKER) $(PYTHON) -m infra.images ensure --all
	@$(WITH_DOCKER) $(PYTHON) -m pytest -n 2 tests

test-vm: ## provision and reboot a machine with a kernel of its own (emulated: 20 minutes)
	@$(BOOTSTRAP)/tools.sh qemu
	@$(BOOTSTRAP)/venv.sh requirements-dev.lock
	@$(BOOTSTRAP)/engine.sh
	@$(WITH_DOCKER) $(PYTHON) -m infra.images ensure meshkeeper-lab/vm:1 python:3.13-slim-trixie
	@$(WITH_DOCKER) $(PYTHON) -m pytest -sv tests/vm

check: ## format, lint, types, unit tests: under a minute
	@$(BOOTSTRAP)/venv.sh requirements-dev.lock
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@mkdir -p build
	@for tests in tests tests/vm; do \
		$(PYTHON) -m pytest -qqq --collect-only $$tests >build/collected.log || { cat build/collected.log; exit 1; }; \
	done
	@$(PYTHON) -m pytest -q tests/unit tests/cases

bench: ## figures as ratios, taken on the running lab; written to build/bench.json
	@$(WITH_DOCKER) $(PYTHON) -m deployments.bench

scores: ## what Lynis and ssh-audit say of a bare VPS and of the same one provisioned
	@$(BOOTSTRAP)/tools.sh
	@$(BOOTSTRAP)/venv.sh requirements-dev.lock
	@$(BOOTSTRAP)/engine.sh
	@$(WITH_DOCKER) $(PYTHON) -m deployments.bench.scores

clean: ## empty the caches (images, toolchain, environment)
	@$(WITH_DOCKER) $(BOOTSTRAP)/clean.sh
