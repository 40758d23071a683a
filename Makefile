# Two commands do everything from a fresh clone: `make demo` and `make test`.
.PHONY: demo up test check clean

demo:  ## the main job on this machine: three pools, three examples, everything stopped again
	@.ci/venv dspy,neural
	@.venv/bin/python examples/demo.py

up:  ## the three pools of examples/pools.yaml, until Ctrl-C
	@.ci/venv dspy,neural
	@.venv/bin/pythonpool up examples/pools.yaml

test:  ## every test that this machine can run
	@.ci/venv dspy,neural,operator,test
	@./check

check: test

clean:  ## what make made here
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .import_linter_cache
