# Needs bash, make and Python 3.11 or newer. Whatever else it takes is made, or one sentence says what to install.
PYTHON ?= python3
CLUSTER := $(PYTHON) -m dev
BIN := .venv/bin
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help up down env test unit integration controlplane e2e check chart crds lock bench soak environment

help: ## Show this text
	@echo "Needs bash, make and Python 3.11 or newer, and either Docker or root on Debian."
	@echo
	@awk -F ': .*## ' '/^[a-z0-9-]+:.*## / {gsub(/\$$\$$/, "$$"); printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Start the local cluster with the operator and examples/myapi.yaml; again to bring changes in
	@$(CLUSTER) up

down: ## Remove the local cluster; what took long to build stays cached
	@$(CLUSTER) down

env: ## Print what puts kubectl, helm and kind on the path: eval "$$(make env)"
	@$(CLUSTER) env

# One process a file. Tests of other tiers mostly wait, so more of them run than there are processors; with six beside each
# other, the servers of the integration tests were too slow for their time limits.
PYTEST := $(BIN)/pytest --tier-times --dist loadfile --no-loadscope-reorder
PROCESSES := 4

test: ## Run every test: unit, integration, control plane, a hostile tenant, and end to end on the local cluster
	@$(CLUSTER) integration
	@$(CLUSTER) prepare
	@$(PYTEST) -n $(PROCESSES) tests/integration tests/controlplane tests/adversary tests/unit tests/e2e

unit: environment ## Run the unit tests: no network, no root, nothing installed; under a minute
	@$(PYTEST) -n logical tests/unit

integration: ## Run the tests with real servers (PostgreSQL, Redis, Granian, Node) and bare machines; 3 minutes
	@$(CLUSTER) integration
	@$(PYTEST) -n $(PROCESSES) tests/integration

controlplane: environment ## Run the control-plane tests: a real API server without nodes; 7 minutes
	@$(PYTEST) -n 6 tests/controlplane

e2e: ## Run the end-to-end tests on the local cluster; 15 minutes. KUBERNETES=1.33 tries the oldest
	@$(CLUSTER) prepare
	@$(PYTEST) -n 3 tests/e2e

check: environment ## Run the linters and the type checker
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@PYTHONPATH=operator:sample-app:workers $(BIN)/lint-imports

WHOLE_CHART := --values examples/fleet/values.yaml --set alerts.enabled=true,rbac.watchSecrets=true,externalMetrics.enabled=true \
	--set externalMetrics.ingress.namespace=projectcontour,externalMetrics.ingress.selector.app=envoy \
	--set externalMetrics.ingress.port=8002,externalMetrics.ingress.path=/stats/prometheus \
	--set prometheus.url=http://prometheus.monitoring:9090,prometheus.customQueries=true \
	--set networkPolicy.enabled=true,networkPolicy.apiServer[0].ipBlock.cidr=10.0.0.0/28
chart: ## Lint the chart, check values against their schema, and render it
	@command -v helm >/dev/null || eval "$$($(CLUSTER) env)"; set -e; \
	for values in "" "$(WHOLE_CHART)" "--set scope=Namespace,crds.enabled=false"; do \
		helm lint --quiet --strict charts $$values --kube-version 1.33.0; \
		helm template hca-operator charts $$values --kube-version 1.33.0 > /dev/null; \
		echo "renders with $${values:-its defaults}"; \
	done

crds: environment ## Write the CRD (crds/, charts/), its reference (docs/) and the chart's copy of its values anew
	@PYTHONPATH=operator $(BIN)/python -m hca_operator crd | tee crds/hca-operator.io_highconcurrencyapis.yaml > charts/files/crd.yaml
	@PYTHONPATH=operator $(BIN)/python -m hca_operator reference > docs/reference.md
	@cp charts/values.yaml charts/files/values.yaml

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
