# Bare `make` prints this list. Every target does its own set-up.
PORT ?= 8000
ENVIRONMENT ?= dev
EVENT ?= events/completion.json
HOST_ARCHITECTURE := $(if $(filter x86_64 amd64,$(shell uname -m)),x86_64,arm64)
STACK := agency-lambda-$(ENVIRONMENT)
CDK = node_modules/.bin/cdk
CONTEXT = -c environment=$(ENVIRONMENT) $(if $(ARCHITECTURE),-c architecture=$(ARCHITECTURE))
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile
GATED = benchmarks handler infra scripts src tests/agencies tests/e2e tests/infra tests/library
UV = $(shell command -v uv || echo $(BIN)/uv)
export PYTHONPATH := $(CURDIR):$(CURDIR)/src:$(CURDIR)/agents
export OWNER URL KEY AGENCY STATUS TO FROM RUN LEVEL
export MESSAGE := $(value MESSAGE)
# cdk reads the one, boto3 the other
ifdef AWS_REGION
export AWS_DEFAULT_REGION := $(AWS_REGION)
endif

help: ## print this list
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

run: ## serve the agencies on 127.0.0.1 (PORT=8000), embedded store, offline model unless OPENAI_API_KEY is set
	@scripts/setup run
	@PORT=$(PORT) exec $(BIN)/python -m handler.local

upstream: ## run the library's tests on the newest openai, openai-agents, fastapi, mangum and nest-asyncio
	@scripts/setup dev
	@scripts/upstream

files: ## upload the files_folder of every agent to OPENAI_API_KEY's account, each once
	@scripts/setup run
	@$(BIN)/python -m agency_lambda.catalogue.upload_files

key: ## make an API key for OWNER=name (ROLE=operator: sees all runs) for API_KEYS; SECRET=id puts it into that secret
	@scripts/setup run
	@$(BIN)/python -m agency_lambda.auth "$$OWNER" $(if $(ROLE),--role "$(ROLE)") $(if $(SECRET),--secret "$(SECRET)")

test: ## run every test that needs no AWS: the library's, then those of your agencies
	@scripts/setup dev
ifdef ARGS
	@$(PYTEST) $(ARGS)
else # what measures time first and alone: other tests keep both cores busy
	@$(PYTEST) tests/library/event_loop
	@$(PYTEST) tests/library --ignore=tests/library/event_loop
	@$(PYTEST)
endif

test-agents: ## run what is promised of your agencies and stacks, and your own tests; under a minute
	@scripts/setup dev
	@$(PYTEST) $(ARGS)

check: quick synth ## check format, lint, types and the template (needs Node); of agents/ only what breaks
	@$(BIN)/mypy

budget: ## hold what benchmarks/budget.toml allows: imports, CPU and size of the library, on agencies of its own
	@scripts/setup dev
	@$(BIN)/python -m benchmarks.budget

quick: ## the part of `make check` that takes seconds: format, lint and version; what pre-commit runs
	@scripts/setup dev
	@$(BIN)/ruff format --check $(GATED) || { echo "\`make format\` writes it"; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/python scripts/check_version.py

format: ## write the format that `make check` asks for
	@scripts/setup dev
	@$(BIN)/ruff format $(GATED) && $(BIN)/ruff check --fix $(GATED)

openapi: ## write docs/openapi.json, from which generators make clients, after a change of a route or a type
	@scripts/setup dev
	@$(BIN)/python scripts/openapi.py

page: node_modules ## build the page's files in src/agency_lambda/page, after a change in src/page (needs Node)
	@node scripts/page.mjs

page-picture: ## draw docs/page.png, the page at work, anew (needs Chromium)
	@scripts/setup dev
	@$(BIN)/python scripts/page_picture.py

loop-table: ## measure the table in docs/event-loop.md again
	@scripts/setup dev
	@$(BIN)/python -m benchmarks.loop_patterns

bench: ## measure against what people run instead, into build/bench.json and docs/; QUICK=1: under 4 minutes, not docs/
	@scripts/setup dev
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

e2e: node_modules ## deploy to an AWS emulator on loopback, call the deployed API, destroy it (needs Node)
	@scripts/setup dev
	@scripts/setup emulator
	@$(BIN)/python -m pytest tests/e2e $(ARGS)

bundle: ## build the Lambda bundle (ARCHITECTURE=arm64) into build/, without Docker
	@scripts/setup dev
	@$(BIN)/python -m agency_lambda_cdk.bundle $(ARCHITECTURE)

synth: node_modules ## the CloudFormation templates of ENVIRONMENT=dev, into cdk.out/ (needs Node)
	@scripts/setup dev
	@$(CDK) synth -q $(CONTEXT) $(ARGS)

sam: ## run EVENT=events/completion.json through the function with `sam local invoke` (needs Docker and the SAM CLI)
	@$(MAKE) --no-print-directory synth ARCHITECTURE=$(HOST_ARCHITECTURE)
	@sam local invoke ApiFunction -t cdk.out/$(STACK).template.json -e $(EVENT)

bootstrap: node_modules ## prepare your AWS account and region for deployments, once (`cdk bootstrap`)
	@scripts/setup dev
	@$(CDK) bootstrap $(CONTEXT) $(ARGS)

deploy: node_modules ## put ENVIRONMENT=dev into your AWS account (`cdk deploy --all`)
	@scripts/setup dev
	@$(CDK) deploy --all $(CONTEXT) -c deploying=true $(ARGS)
	@echo "Next: the lines FirstKey and ModelKey above are commands; then make ask URL=... KEY=... MESSAGE=..."

model-key: ## put the key of the model's provider, which is asked for, into SECRET=id
	@scripts/setup run
	@$(BIN)/python scripts/put_secret.py "$(SECRET)"

ask: ## ask the agency at URL=https://... with KEY=... and MESSAGE=... (AGENCY=, else its first)
	@scripts/setup run
	@$(BIN)/python scripts/ask.py

stream: ## the same, following the answer as it comes: which agent does what, and speaks
	@scripts/setup run
	@$(BIN)/python scripts/ask.py --stream

runs: ## list the newest runs at URL=https://... (else of `make run`) with KEY=..., of OWNER=name, with STATUS=failed
	@scripts/setup run
	@PORT=$(PORT) $(BIN)/python scripts/runs.py

trace: ## draw what the agents of RUN=resp_... did, in the service at URL=... (else of `make run`) with KEY=...
	@scripts/setup run
	@PORT=$(PORT) $(BIN)/python scripts/trace.py

logs: ## what the functions of ENVIRONMENT=dev write, as it comes; of one RUN= or OWNER=, from LEVEL=WARNING on
	@scripts/setup run
	@$(BIN)/python scripts/logs.py $(STACK)

destroy: node_modules ## delete ENVIRONMENT=dev from your AWS account; production keeps what is stored
	@scripts/setup dev
	@$(if $(filter production,$(ENVIRONMENT)),:,$(BIN)/python scripts/empty_bucket.py $(STACK)-data)
	@$(CDK) destroy $(if $(filter production,$(ENVIRONMENT)),$(STACK) --exclusively,--all) $(CONTEXT) $(ARGS)
	@echo "Still there: what docs/deploy.md lists under 'Delete everything', with the commands that delete that too."

node_modules: package.json package-lock.json
	@npm ci --silent
	@touch node_modules

lock: NO_PACKAGES = \# No packages yet: write them into requirements.in beside this file, and run \`make lock\`.
lock: ## compile agents/requirements.in and requirements*.in to hashed .txt, and package.json to package-lock.json
	@scripts/setup uv
	$(UV) pip compile -q requirements.in -o requirements.txt --python-version 3.13 --universal --generate-hashes --no-header
	$(UV) pip compile -q requirements-dev.in -o requirements-dev.txt --override requirements-overrides.in --python-version 3.13 --universal --generate-hashes --no-header
	$(UV) pip compile -q requirements-emulator.in -o requirements-emulator.txt --python-version 3.13 --universal --generate-hashes --no-header
	for each in uv sam; do $(UV) pip compile -q requirements-$$each.in -o requirements-$$each.txt --no-deps --python-version 3.13 --universal --generate-hashes --no-header; done
	$(UV) pip compile -q agents/requirements.in -o agents/requirements.txt -c requirements.txt -c requirements-dev.txt --python-version 3.13 --universal --generate-hashes --no-header
	@[ -s agents/requirements.txt ] || echo "$(NO_PACKAGES)" > agents/requirements.txt
	for each in benchmarks/peers/*/requirements.in; do $(UV) pip compile -q $$each -o $${each%.in}.txt --python-version 3.13 --universal --no-annotate --no-header; done
	-npm install --package-lock-only --silent # where there is no npm, package-lock.json stays

wheel: ## build a wheel of each package in src/ into build/wheels
	@scripts/setup dev
	@$(BIN)/python scripts/wheels.py

upgrade: ## take release TO=v1.2.0 of the template (FROM=its URL, the first time), merged with your changes
	@scripts/setup uv
	@$(BIN)/python scripts/upgrade.py "$$TO" "$$FROM"

.PHONY: help run quick upgrade wheel files key test test-agents e2e check budget format openapi page page-picture loop-table bench bundle synth sam bootstrap deploy model-key ask stream runs trace logs destroy lock
.DEFAULT_GOAL := help
