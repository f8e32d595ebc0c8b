# Every target sets up what it needs and can be run first on a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first that runs and is new enough: a shim on PATH may name a Python that is not there.
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CHART := deploy/helm/forescale/files
BENCH_STAMP := $(VENV)/.installed-bench

BENCHES := bench-tick bench-relist bench-slo bench-image bench-simulator bench-forecast bench-forecast-speed \
           bench-packing bench-joint bench-fleets bench-odd-fleets bench-policies bench-shapes bench-nodes bench-streams \
           bench-first-ten-minutes

.PHONY: help venv demo demo-picture test lint stack-tools stack stack-down stack-status e2e e2e-proxy e2e-kserve e2e-nodes e2e-sick \
        bench $(BENCHES) validate-simulator validate-gpu validate-gpu-tokens bench-policies-quick bench-forecast-plot update-golden docs-reference \
        deploy-files results-page clean

help: ## list every target
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "python3: none on PATH is 3.11 or newer; install python3 and python3-venv, or name one with make PYTHON=..."; exit 1; fi
	@echo "installing into $(VENV) ..."
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[simulation,dev]'
	@touch $(STAMP)

$(BENCH_STAMP): $(STAMP)
	@echo "installing what forecasts are compared with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $(BENCH_STAMP)

venv: $(STAMP) ## the virtual environment with everything for development

demo: $(STAMP) ## a day of three workloads on modelled clusters, forescale beside HPA; writes build/demo/report.html
	@$(BIN)/forescale demo --html build/demo/report.html

demo-picture: $(STAMP) ## draw docs/img/demo.png anew from the demo's report (needs chromium)
	@command -v chromium >/dev/null || { echo "chromium: is not on PATH, install Debian's package chromium"; exit 1; }
	@[ -f build/demo/report.html ] || $(MAKE) --no-print-directory demo
	@chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1100,1240 \
	  --screenshot=docs/img/demo.png file://$(CURDIR)/build/demo/report.html 2>/dev/null
	@ls -s docs/img/demo.png

lint: $(STAMP) ## format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## lint and every test, the real stack's included where it can be had
	@$(BIN)/python -m loadtests.stack tools || echo "the suites on the real stack are left out (in CI that is a failure)"
	@mkdir -p build; echo "what needs no stack is tested beside, into build/test-beside.log"
	@nice $(BIN)/python -m pytest -m "not cluster" >build/test-beside.log 2>&1 & beside=$$!; \
	  on_stack=0; $(BIN)/python -m pytest -m cluster || on_stack=$$?; \
	  without=0; wait $$beside || without=$$?; cat build/test-beside.log; exit $$((on_stack | without))

stack-tools: $(STAMP) ## build or find Kubernetes, etcd, Prometheus and Triton for the local stack
	@$(BIN)/python -m loadtests.stack tools

stack: $(STAMP) stack-tools ## start the local real stack: Kubernetes, Prometheus, Triton servers as pods
	@$(BIN)/python -m loadtests.stack up

stack-status: $(STAMP) ## what of the local stack runs
	@$(BIN)/python -m loadtests.stack status

stack-down: $(STAMP) ## stop the local stack and remove its data
	@$(BIN)/python -m loadtests.stack down

e2e: $(STAMP) stack-tools ## the main job on the local real stack, with faults, judged (17 minutes)
	@$(BIN)/python -m loadtests.e2e main

e2e-proxy: $(STAMP) stack-tools ## the same through a proxy that pins connections (6 minutes)
	@$(BIN)/python -m loadtests.e2e proxy

e2e-kserve: $(STAMP) stack-tools ## an InferenceService of KServe's own model server, up and down (5 minutes)
	@$(BIN)/python -m loadtests.stack tools --kserve
	@$(BIN)/python -m loadtests.e2e kserve

e2e-sick: $(STAMP) stack-tools ## one replica throttles, another's GPU has an error: told of and replaced one for one (9 minutes)
	@$(BIN)/python -m loadtests.e2e sick

e2e-nodes: $(STAMP) stack-tools ## nodes ahead of demand: real Karpenter, a daily rise, a stock-out, MIG slices, judged (9 minutes)
	@$(BIN)/python -m loadtests.stack tools --karpenter
	@$(BIN)/python -m loadtests.e2e nodes

bench: $(BENCHES) ## every benchmark

bench-tick: $(STAMP) ## seconds and memory of a tick of 1,000 workloads
	@$(BIN)/python -m loadtests.bench.tick

bench-relist: $(STAMP) ## what reading 20,000 pods anew costs the event loop
	@$(BIN)/python -m loadtests.bench.relist

bench-slo: $(STAMP) ## what SLO accounting costs a tick, and its store
	@$(BIN)/python -m loadtests.bench.slo

bench-image: $(STAMP) ## the Dockerfile's steps in a Debian root, and their weight (as root; 3 minutes)
	@$(BIN)/python -m loadtests.bench.image

bench-simulator: $(STAMP) ## requests a second of the modelled cluster
	@$(BIN)/python -m loadtests.bench.simulator

bench-forecast: $(BENCH_STAMP) ## forecasts beside naive and statsforecast's methods (ARGS=--quick: three series)
	@$(BIN)/python -m loadtests.bench.forecast $(ARGS)

bench-forecast-speed: $(STAMP) ## seconds and memory of one model over 5,000 workloads
	@$(BIN)/python -m loadtests.bench.forecast.speed

bench-forecast-plot: $(BENCH_STAMP) ## draw docs/img/forecast.png anew
	@$(BIN)/python -m loadtests.bench.forecast.plot

bench-packing: $(STAMP) ## GPUs that workloads need when packed into slices, proofs, and days of moves (3 minutes)
	@$(BIN)/python -m loadtests.bench.packing

bench-joint: $(STAMP) ## replicas, shapes and nodes planned together, beside HPA on whole GPUs and on a static cut (3 minutes)
	@$(BIN)/python -m loadtests.bench.joint

bench-fleets: $(STAMP) ## six models on MIG slices and nodes, request by request, beside KEDA on one shape (3 minutes)
	@$(BIN)/python -m loadtests.bench.fleets

bench-odd-fleets: $(STAMP) ## small fleets that stop, step, sell out or are late on a slice, beside KEDA (20 minutes)
	@$(BIN)/python -m loadtests.bench.odd_fleets $(ARGS)

validate-simulator: $(STAMP) ## the simulator beside real Triton servers, same arrivals (16 minutes; ARGS=--quick: six)
	@$(BIN)/python -m loadtests.validate $(ARGS)

validate-gpu: $(STAMP) ## a real network on this machine's GPU behind real Triton (15 minutes; wants PyTorch in .venv)
	@$(BIN)/python -m loadtests.validate.gpu $(ARGS)

validate-gpu-tokens: $(STAMP) ## a real decoder on this machine's GPU with continuous batching (12 minutes; wants PyTorch in .venv)
	@$(BIN)/python -m loadtests.validate.gpu.tokens $(ARGS)

bench-first-ten-minutes: $(STAMP) stack-tools ## the README's own lines in a fresh clone, timed (6 minutes; what is committed)
	@$(BIN)/python -m loadtests.bench.first_ten_minutes

bench-nodes: $(STAMP) ## a scheduled surge on nodes that take five minutes: pods that wait, and what that costs (8 minutes)
	@$(BIN)/python -m loadtests.bench.nodes

bench-streams: $(STAMP) ## how late the load driver is with 200 and 500 streams open (2 minutes)
	@$(BIN)/python -m loadtests.bench.streams

bench-policies: $(STAMP) ## forescale beside every peer under recorded demand; goes on where it was stopped
	@$(BIN)/python -m loadtests.bench.policies $(ARGS)

bench-policies-quick: $(STAMP) ## a subset of it, five minutes
	@$(BIN)/python -m loadtests.bench.policies --quick

bench-shapes: $(STAMP) ## forescale and KEDA under shapes that nobody recorded, from squares to bursts at random
	@$(BIN)/python -m loadtests.bench.shapes $(ARGS)

results-page: $(BENCH_STAMP) ## write docs/results.md anew from what bench-policies kept
	@$(BIN)/python -m loadtests.bench.policies.page $(ARGS)

docs-reference: $(STAMP) ## write docs/reference anew from the code
	@$(BIN)/python -m autoscaler.controller.reference docs/reference

deploy-files: $(STAMP) ## write the alerts and the dashboard of deploy/ anew from the code
	@$(BIN)/forescale rules --controller-alerts >$(CHART)/alerts.yaml
	@$(BIN)/forescale rules --controller-alerts --prometheus-rule >deploy/kustomize/components/prometheus-operator/alerts.yaml
	@$(BIN)/forescale dashboard | tee $(CHART)/dashboard.json >deploy/kustomize/components/grafana/forescale.json
	@base=deploy/kustomize/base/alerts.yaml; head=$$(sed '/^  forescale.rules.yaml: |$$/q' $$base); \
	  { echo "$$head"; sed 's/^\(.\)/    \1/' $(CHART)/alerts.yaml; } >$$base

update-golden: $(STAMP) ## write the golden scenarios anew: review the difference before you commit it
	$(BIN)/python -m pytest tests/golden --update-golden

clean: ## remove what was built here; the stack's binaries stay in the cache
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
