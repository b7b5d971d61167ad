# Two commands: `make demo` and `make test`. Both set up what they need: Python >= 3.11 and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.run-ready
DEV    := $(VENV)/.dev-ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-kafka bench lint lock clean

help:              ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(RUN)       ## everything on this machine: broker, logs, worker, and what it saw
	$(BIN)/stream-monitor demo

test: $(DEV)       ## the tests (real-Kafka ones are skipped by name where no Kafka can be had)
	$(BIN)/python -m pytest -q -n 2 -m "not broker and not kafka and not screen"
	$(BIN)/python -m pytest -q -n 2 -m screen
	$(BIN)/python -m pytest -m "broker or kafka"

.PHONY: bench-report
bench-report: $(DEV) ## how long the report of thirty days takes
	$(BIN)/python -m bench.report

test-kafka: $(DEV) ## the tests that need Apache Kafka; here a skip is a failure
	STREAM_MONITOR_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m kafka

bench: $(DEV)      ## records/s of one worker beside the floor, on Apache Kafka
	$(BIN)/python -m bench

.PHONY: bench-micro bench-peers bench-scale bench-latency bench-steady
bench-micro: $(DEV) ## the histogram and the decoder by themselves, beside ddsketch, datasketches and orjson
	$(BIN)/python -m pytest -q bench/micro.py --benchmark-columns=median,iqr,rounds

bench-peers: $(DEV) ## the same work by Quix Streams, Bytewax, Kafka Streams, Flink and idiomatic Faust
	$(BIN)/python -m bench.peers

bench-scale: $(DEV) ## what more series, partitions, bytes and workers cost
	$(BIN)/python -m bench.scale

bench-steady: $(DEV) ## what steady traffic costs: the worker, the broker, every topic
	$(BIN)/python -m bench.steady

.PHONY: bench-tui
bench-tui: $(DEV)  ## the dashboard with 2,000 series that change every second
	$(BIN)/python -m bench.tui

bench-latency: $(DEV) ## from a log's produce to its provisional window
	$(BIN)/python -m bench.latency

CHAOS = $(BIN)/python -m tests.chaos
.PHONY: chaos failpoints recovery bomb fuzz soak
chaos: $(DEV)      ## 20 runs on Apache Kafka: kills, pauses, rebalances, a broker restarted; equal to an oracle
	$(CHAOS)

failpoints: $(DEV) ## die (and be paused) at every fail-point; equal to an oracle
	$(CHAOS).failpoints

recovery: $(DEV)   ## how long a killed worker takes, on its disk and on an empty one
	$(CHAOS).recovery

bomb: $(DEV)       ## a million series against the series cap
	$(CHAOS).bomb

fuzz: $(DEV)       ## a million fuzzed records
	$(CHAOS).fuzz

.PHONY: corpus
corpus: $(DEV)     ## look for inputs that come out in a new way, and keep them
	$(BIN)/python -m tests.corpus

soak: $(DEV)       ## twenty minutes at a fixed rate: memory, files and disk stay flat
	$(CHAOS).soak

lint: $(DEV)       ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock:              ## write requirements/*.txt anew (hashes, no index line)
	$(PYTHON) -m venv .cache/lock && .cache/lock/bin/pip install -q uv
	.cache/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/run.txt
	.cache/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements/dev.txt

clean:             ## remove what make made
	rm -rf $(VENV) .cache dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "stream-monitor needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN): requirements/run.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/run.txt
	printf '%s\n' "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/stream_monitor_checkout.pth"
	printf '#!/bin/sh\nexec "%s" -m stream_monitor "$$@"\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/stream-monitor && chmod +x $(BIN)/stream-monitor
	touch $@

$(DEV): requirements/dev.txt $(RUN)
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/dev.txt
	touch $@
