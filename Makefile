# Bare `make` prints this list. Every target does its own set-up.
PORT ?= 8000
ARCHITECTURE ?= arm64
EVENT ?= events/completion.json
BIN := .venv/bin
UV = $(shell command -v uv || echo $(BIN)/uv)
export PYTHONPATH := .:agents

help: ## print this list
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

run: ## serve the agencies on 127.0.0.1 (PORT=8000), embedded store, offline model unless OPENAI_API_KEY is set
	@scripts/setup run
	@PORT=$(PORT) $(BIN)/python -m handler.local

key: ## make an API key for OWNER=name, and what to put into API_KEYS
	@scripts/setup run
	@$(BIN)/python -m handler.auth "$$OWNER"

test: ## run every test that needs no AWS
	@scripts/setup dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: synth ## check format, lint, types, and cdk-nag on the template (needs Node)
	@scripts/setup dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: ## write the format that `make check` asks for
	@scripts/setup dev
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

loop-table: ## measure the table in docs/event-loop.md again
	@scripts/setup dev
	@$(BIN)/python -m benchmarks.loop_patterns

bundle: ## build the Lambda bundle (ARCHITECTURE=arm64) into build/, without Docker
	@scripts/setup dev
	@$(BIN)/python -m infra.bundle $(ARCHITECTURE)

synth: node_modules ## the CloudFormation template, into cdk.out/ (needs Node)
	@scripts/setup dev
	@node_modules/.bin/cdk synth -q -c architecture=$(ARCHITECTURE)

sam: synth ## run EVENT=events/completion.json through the function with `sam local invoke`
	@sam local invoke ApiFunction -t cdk.out/AgencyLambda.template.json -e $(EVENT)

node_modules: package.json
	@npm install --no-package-lock --no-audit --no-fund --silent
	@touch node_modules

lock: ## compile requirements*.in to hashed requirements*.txt
	@scripts/setup dev
	$(UV) pip compile -q requirements.in -o requirements.txt --python-version 3.13 --universal --generate-hashes --no-header
	$(UV) pip compile -q requirements-dev.in -o requirements-dev.txt --override requirements-overrides.in --python-version 3.13 --universal --generate-hashes --no-header

.PHONY: help run key test check format loop-table bundle synth sam lock
.DEFAULT_GOAL := help
