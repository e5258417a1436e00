# Needs bash, make and Python 3.11 or newer. Whatever else it takes is made, or one sentence says what to install.
PYTHON ?= python3
CLUSTER := $(PYTHON) -m dev
BIN := .venv/bin
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help up down env test check crds lock bench soak environment

help: ## Show this text
	@echo "Needs bash, make and Python 3.11 or newer, and either Docker or root on Debian."
	@echo
	@awk -F ': .*## ' '/^[a-z-]+:.*## / {gsub(/\$$\$$/, "$$"); printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Start the local cluster with the operator and examples/myapi.yaml; again to bring changes in
	@$(CLUSTER) up

down: ## Remove the local cluster; what took long to build stays cached
	@$(CLUSTER) down

env: ## Print what puts kubectl, helm and kind on the path: eval "$$(make env)"
	@$(CLUSTER) env

test: ## Run every test: unit, control plane, and end to end on the local cluster
	@$(CLUSTER) prepare
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/unit tests/integration tests/controlplane tests/e2e

check: environment ## Run the linters and the type checker
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@PYTHONPATH=operator $(BIN)/lint-imports

crds: environment ## Write the CRD (crds/, charts/) and its reference (docs/) anew from the models
	@PYTHONPATH=operator $(BIN)/python -m hca_operator crd | tee crds/hca-operator.io_highconcurrencyapis.yaml > charts/files/crd.yaml
	@PYTHONPATH=operator $(BIN)/python -m hca_operator reference > docs/reference.md

lock: ## Write the lock files anew from the pyproject files
	@$(CLUSTER) lock

WITHOUT_CLUSTER := tests/bench/test_scale.py tests/bench/test_external_metrics.py
bench: environment ## Measure scale, reaction times and lost requests
	@$(BIN)/pytest $(WITHOUT_CLUSTER)
	@$(CLUSTER) prepare
	@$(BIN)/pytest tests/bench $(WITHOUT_CLUSTER:%=--ignore=%)

soak: ## Run the long load tests
	@$(CLUSTER) prepare
	@$(BIN)/pytest tests/soak

environment:
	@$(CLUSTER) environment
