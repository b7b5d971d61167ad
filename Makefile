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

test: export PYTHONDONTWRITEBYTECODE =
test: $(DEV)       ## the tests (real-Kafka ones are skipped by name where no Kafka can be had)
	$(BIN)/python -m pytest -q -n 2 -m "not broker and not kafka and not screen and not slow"
	$(BIN)/python -m pytest -v -n 2 --dist worksteal -m "(broker or kafka or screen or slow) and not manual"

.PHONY: test-manual
test-manual: $(DEV) ## every command and snippet of the documents, the packages, SASL_SSL and ACLs
	$(BIN)/python -m pytest -v -n 2 --dist worksteal -m manual

.PHONY: dist test-wheel
dist: $(DEV)       ## the sdist and the wheel, in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

WHEEL = .cache/wheel
test-wheel: dist   ## the wheel in a clean environment with its own dependencies, in an empty folder: the whole demo
	rm -rf $(WHEEL) && mkdir -p $(WHEEL)/empty
	$(BIN)/python -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/pip install --disable-pip-version-check -q dist/*.whl
	cd $(WHEEL)/empty && ../venv/bin/stream-monitor --version && ../venv/bin/stream-monitor demo
	$(BIN)/python -m pytest -q tests/test_dist.py

.PHONY: bench-report
bench-report: $(DEV) ## how long the report of thirty days takes
	$(BIN)/python -m bench.report

test-kafka: $(DEV) ## the tests that need Apache Kafka; here a skip is a failure
	STREAM_MONITOR_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m kafka

bench: $(DEV)      ## records/s of one worker beside the floor, on Apache Kafka
	$(BIN)/python -m bench

.PHONY: test-prometheus incidents bench-alerts bench-drift
test-prometheus: $(DEV) ## a real Prometheus and Alertmanager (Debian's packages) beside a worker
	@command -v promtool prometheus-alertmanager >/dev/null || { echo "needs: apt-get install prometheus prometheus-alertmanager" >&2; exit 1; }
	$(BIN)/python -m pytest -q tests/prometheus.py

incidents: $(DEV)  ## the example day on Apache Kafka, the worker killed in each incident: the alerts are the same
	STREAM_MONITOR_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -q tests/chaos/quiet.py tests/chaos/incidents.py

bench-alerts: $(DEV) ## 10,000 series and 50 rules: what a tick costs
	$(BIN)/python -m bench.alerts

bench-drift: $(DEV) ## how often the drift tests are wrong, and what they find
	$(BIN)/python -m bench.drift

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

.PHONY: bench-demo
bench-demo: $(DEV) ## the dashboard beside the demo, in tmux (Debian's): from a log's produce() to the screen
	$(BIN)/python -m bench.tui_demo

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

# --- Shipping -----------------------------------------------------------------------------------
AIRFLOW = .cache/airflow/venv
.PHONY: test-airflow test-sklearn shipping-outage bench-shipping
test-airflow: $(DEV) ## a real Airflow 3 with the plugin; its runs in the metrics equal its own database
	test -d $(AIRFLOW) || $(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/pip install --disable-pip-version-check -q "apache-airflow==3.3.2" confluent-kafka orjson pyyaml
	$(AIRFLOW)/bin/pip install --disable-pip-version-check -q --no-deps --force-reinstall .
	$(BIN)/python -m tests.shipping.airflow_run

SKLEARN = .cache/sklearn
test-sklearn: $(DEV) ## a real scikit-learn model behind a service under load; its predictions in the metrics
	test -d $(SKLEARN) || $(PYTHON) -m venv $(SKLEARN)
	$(SKLEARN)/bin/pip install --disable-pip-version-check -q scikit-learn confluent-kafka orjson pyyaml
	$(BIN)/python -m tests.shipping.sklearn_run

shipping-outage: $(DEV) ## the broker away for two minutes under 5,000 logs/s from four threads
	$(BIN)/python -m tests.shipping.outage

bench-shipping: $(DEV) ## what a log call costs with the broker up and down
	$(BIN)/python -m bench.shipping

# --- The web view -------------------------------------------------------------------------------
WEB = $(VENV)/.web-ready
.PHONY: test-web bench-web
test-web: $(WEB)   ## the page in a real Chromium (Debian's), axe-core, schemathesis, the notebook
	@command -v chromium >/dev/null || { echo "needs: apt-get install chromium" >&2; exit 1; }
	$(BIN)/python -m pytest -q tests/web/browser.py tests/web/fuzz.py tests/web/notebook.py

bench-web: $(WEB)  ## thirty days of 100 series, fifty listeners, one that does not read, on Apache Kafka
	$(BIN)/python -m bench.web

lint: $(DEV)       ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

DOCS = .cache/docs
.PHONY: docs
docs: $(DOCS)/.ready ## the documents as a site, in .cache/site; a warning is an error
	$(BIN)/python -m tests.site
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --config-file .cache/mkdocs.yml --site-dir $(CURDIR)/.cache/site

$(DOCS)/.ready: requirements/docs.txt $(DEV)
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --disable-pip-version-check -q --require-hashes -r requirements/docs.txt
	touch $@

lock:              ## write requirements/*.txt anew (hashes, no index line)
	$(PYTHON) -m venv .cache/lock && .cache/lock/bin/pip install -q uv
	.cache/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/run.txt
	.cache/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra notify pyproject.toml -o requirements/notify.txt
	.cache/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements/dev.txt
	.cache/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/docs.in -o requirements/docs.txt
	.cache/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra web pyproject.toml -o requirements/web.txt

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

$(WEB): requirements/web.txt $(DEV)
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/web.txt
	touch $@

$(DEV): requirements/dev.txt $(RUN)
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/dev.txt
	touch $@
