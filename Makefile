# make demo     caption eight pictures and write demo.html; installs what running needs, no more
# make test     install the rest and run every test
# make help     the other targets

VENV ?= .venv
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-oracles test-install engine-bindings pycuda lint format
.PHONY: train-emoji judge-emoji train-vqa judge-stamps train-read train-crnn train-translate train-report opencv-extra clean

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet -c constraints.txt
# By all processors, where pip takes one, and without what is never imported.
COMPILE = $(PY) -m compileall -qq -j 0 -x 'site-packages/(.*/tests?|transformers/models)/' $(VENV)/lib/python*/site-packages || true
EXTRA = $$($(MAKE) --no-print-directory -s opencv-extra)

# The tests that compile engines of every kind of captioner, or export any.
COMPILING := tests/engine tests/export

# TensorRT's bindings of several versions, to check the builder against: each in a folder of its own.
BINDINGS := tests/engine/rigs/bindings.txt
PINNED = $$(sed -n 's/^\(tensorrt[a-z0-9-]*==.*\)$$/\1/p' $(BINDINGS))

# An OpenCV that is installed and cannot be imported goes first: the other package would only half replace it.
DROP_BROKEN_OPENCV = $(PY) -c 'import cv2' 2>/dev/null \
  || $(PIP) uninstall --quiet --yes opencv-python opencv-python-headless 2>/dev/null

# An interpreter counts if it starts, is new enough and can make an environment: a name on the PATH may be a
# stand-in that only prints an error.
CANDIDATES := python3.13 python3.12 python3.11 python3.10 python3 python3.14
USABLE := import sys, venv, ensurepip; raise SystemExit(sys.version_info < (3, 10))

help:
	@echo "make demo          caption eight pictures and write demo.html (installs into $(VENV): no torch, under 300 MB)"
	@echo "make test          install the rest (PyTorch among it) and run every test"
	@echo "make test-oracles  compare the search with others' in every case, of which make test takes a part"
	@echo "make test-install  install as a newcomer would, in a fresh environment, and run the demo there"
	@echo "make lint          ruff, mypy, pyright and the import contracts"
	@echo "make train-emoji   fetch the pictures by npm and train the shipped bundle again"
	@echo "make judge-stamps  train captions of Tux Paint's stamps, part by part of the recipe; write docs/stamps.md"
	@echo "make train-read    train the bundle that reads lines of text (train-crnn: by CTC), beside Tesseract"
	@echo "make train-translate  train the bundle that translates lines into English, and write docs/translate.md"
	@echo "make train-vqa     train the shipped bundle that answers questions, and write docs/vqa.md"
	@echo "make train-report  draw phantoms of radiographs, train reports of them, score their findings"
	@echo "make judge-emoji   train it without each vendor in turn, and score it on that vendor; write docs/emoji.md"

demo: $(VENV)/.installed-demo
	@$(VENV)/bin/cnnrnn demo --output demo.html

# In two halves, side by side: the one that exports and compiles takes as long as all others. Without job control (-m) the
# shell would let what it starts behind ignore Ctrl-C, which some tests send.
test: $(VENV)/.installed-test
	@$(MAKE) --no-print-directory -j2 engine-bindings pycuda
	@set -m; said="$$(mktemp)"; code=0; \
	$(PY) -m pytest $(COMPILING) >"$$said" 2>&1 & half=$$!; \
	trap 'kill -INT -- "-$$half" 2>/dev/null; exit 130' INT; \
	$(PY) -m pytest $(addprefix --ignore=,$(COMPILING)) || code=$$?; \
	echo 'and the tests that export, and compile engines:'; \
	wait "$$half" || code=$$?; \
	cat "$$said"; rm -f "$$said"; exit "$$code"

test-oracles: $(VENV)/.installed-test
	$(PY) -m pytest -m "not gpu and not network" tests/search

test-install: $(VENV)/.installed-test
	$(PY) -m pytest -m network tests/packaging

# Where a wheel can't be had, the tests that need it are skipped and say so; CNNRNN_REQUIRE_ENGINES=1 fails them.
engine-bindings: $(VENV)/.installed-test
	@if [ "$$(uname -sm)" != 'Linux x86_64' ]; then exit 0; fi; \
	for wheel in $(PINNED); do \
	  folder="$(VENV)/tensorrt/$${wheel##*==}"; \
	  if [ -d "$$folder/tensorrt_bindings" ]; then continue; fi; \
	  said="$$($(PIP) install --quiet --no-deps --only-binary :all: --upgrade --target "$$folder" "$$wheel" 2>&1)" \
	    || echo "$$wheel cannot be had here, so its tests are skipped: $${said##*ERROR: }" >&2; \
	done

# The same for pycuda, which has no wheel: about forty seconds of one processor, once.
pycuda: $(VENV)/.installed-test
	@$(PY) -m tests.driver.build_pycuda || true

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright

format: $(VENV)/.installed-test
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# The shipped bundle's own run: made where there is none, gone on with where it was cut short, left where it is done.
RESUME_EMOJI = $$(test ! -f runs/emoji/last.pt || echo --resume)

train-emoji: $(VENV)/.installed-test
	$(INSTALL) resvg-py
	$(PY) examples/emoji/fetch.py data/emoji
	$(VENV)/bin/cnnrnn train examples/emoji/emoji.toml
	$(VENV)/bin/cnnrnn export runs/emoji/last.pt cnnrnn/bundles/emoji --weights fp16 --precision fp16 --replace \
	  --keep-float32 'encoder\.trunk\.blocks\.[0-3][._/].*'

judge-emoji: $(VENV)/.installed-test
	$(INSTALL) resvg-py
	test -d data/emoji || $(PY) examples/emoji/fetch.py data/emoji
	$(VENV)/bin/cnnrnn train examples/emoji/emoji.toml $(RESUME_EMOJI)
	$(PY) examples/emoji/leave_one_out.py --shipped cnnrnn/bundles/emoji
	$(PY) examples/emoji/notes.py runs/emoji/notes.md
	$(VENV)/bin/cnnrnn eval emoji data/emoji/fluent --beams 5 --no-java --card docs/emoji.md --card-notes runs/emoji/notes.md

# A quarter of an hour on two idle cores. Its pictures and questions are in the package easy-vqa.
train-vqa: $(VENV)/.installed-test
	$(VENV)/bin/cnnrnn train examples/vqa/vqa.toml $$(test ! -f runs/vqa/last.pt || echo --resume)
	$(VENV)/bin/cnnrnn export runs/vqa/last.pt cnnrnn/bundles/vqa --weights fp16 --precision fp16 --replace \
	  --pictures $$($(PY) -c 'import easy_vqa, os; print(os.path.dirname(easy_vqa.__file__))')/data/test/images
	$(VENV)/bin/cnnrnn eval vqa --split test --card docs/vqa.md --card-notes examples/vqa/notes.md

# What lines of text are drawn with: fonts and words of Debian's packages, and of npm's names. Tesseract stands beside
# the bundles where apt-get has installed it: tesseract-ocr, and tesseract-ocr-deu and so on.
data/lines/test:
	$(INSTALL) babel
	$(PY) examples/read/fetch.py data/lines
	$(PY) examples/read/testset.py data/lines/test

data/translate/test: data/lines/test
	$(INSTALL) babel num2words
	$(PY) examples/translate/fetch.py data/translate
	$(PY) examples/translate/testset.py data/translate/test

# An hour and a half each on two idle cores.
train-read train-crnn: train-%: $(VENV)/.installed-test data/lines/test
	$(INSTALL) babel
	$(VENV)/bin/cnnrnn train examples/$*/$*.toml $$(test ! -f runs/$*/last.pt || echo --resume)
	$(VENV)/bin/cnnrnn export runs/$*/last.pt cnnrnn/bundles/$* --weights fp16 --precision fp16 --replace \
	  --pictures data/lines/test/clean
	$(PY) examples/read/tesseract.py $* data/lines/test/clean data/lines/test/degraded --page runs/$*/tesseract.md
	cat examples/read/notes.md runs/$*/tesseract.md > runs/$*/notes.md
	$(VENV)/bin/cnnrnn eval $* data/lines/test/clean --card docs/$*.md --card-notes runs/$*/notes.md

train-translate: $(VENV)/.installed-test data/translate/test
	$(INSTALL) babel num2words
	$(VENV)/bin/cnnrnn train examples/translate/translate.toml $$(test ! -f runs/translate/last.pt || echo --resume)
	$(VENV)/bin/cnnrnn export runs/translate/last.pt cnnrnn/bundles/translate --weights fp16 --precision fp16 --replace \
	  --pictures data/translate/test/phrases
	$(PY) examples/translate/table.py translate

train-report: $(VENV)/.installed-test
	test -d data/report || $(PY) examples/report/phantom.py data/report
	test -d data/report-gate || $(PY) examples/report/phantom.py data/report-gate --train 0 --val 0 --test 120 --seed 2
	$(VENV)/bin/cnnrnn train examples/report/report.toml $$(test ! -f runs/report/last.pt || echo --resume)
	$(VENV)/bin/cnnrnn export runs/report/last.pt runs/report/bundle --weights fp16 --precision fp16 --replace \
	  --pictures data/report-gate
	$(VENV)/bin/cnnrnn eval runs/report/bundle data/report --split test --json --captions runs/report/said.jsonl
	$(PY) examples/report/score.py runs/report/said.jsonl --train data/report/annotation.json

judge-stamps: $(VENV)/.installed-test
	$(INSTALL) resvg-py
	test -d data/stamps || $(PY) examples/stamps/fetch.py data/stamps
	$(PY) examples/stamps/table.py

clean:
	rm -rf build dist *.egg-info demo.html .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# Which OpenCV to add: none where one can be imported, the one with windows where there is a display, else the
# headless one. Both write the folder cv2, so a second one would break the first.
opencv-extra:
	@if $(PY) -c 'import cv2' 2>/dev/null; then echo; \
	elif [ -n "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ]; then echo ',opencv'; \
	else echo ',headless'; fi

$(PY):
	@for name in $(CANDIDATES); do \
	  if "$$name" -c '$(USABLE)' >/dev/null 2>&1; then found="$$name"; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo 'No usable Python was found: version 3.10 or newer with its module venv is needed.' >&2; \
	  echo 'On Debian and Ubuntu: sudo apt-get install python3 python3-venv' >&2; exit 3; \
	fi; \
	echo "making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv "$(VENV)"; \
	"$(PY)" -m pip --disable-pip-version-check uninstall --quiet --yes setuptools 2>/dev/null

$(VENV)/.installed-demo: pyproject.toml constraints.txt constraints-demo.txt | $(PY)
	@echo 'installing what running needs'
	@$(DROP_BROKEN_OPENCV)
	@$(INSTALL) -c constraints-demo.txt --no-compile -e ".[cpu$(EXTRA)]"
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(PY)
	@echo 'installing what training, export and the tests need'
	@$(DROP_BROKEN_OPENCV)
	@$(INSTALL) --no-compile -e ".[cpu,train,export,eval,dicom,dev$(EXTRA)]"
	@$(COMPILE)
	@touch $@ $(VENV)/.installed-demo
