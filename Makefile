# Two commands do everything from a fresh clone: `make demo` and `make test`.
.PHONY: demo up test check soak mutations fuzz bench lock cluster images cluster-down clean

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

soak:  ## faults by seed under load: make soak MINUTES=20 SEED=7; SEEDS=10 runs ten; SCENARIO=zoo, VARIANT=finish
	@.ci/venv dspy,neural,operator,test
	@.venv/bin/python tests/soak/soak.py --seed $(or $(SEED),1) --seeds $(or $(SEEDS),1) \
	  --seconds $$((60 * $(or $(MINUTES),1))) --scenario $(or $(SCENARIO),fire) \
	  --variant $(or $(VARIANT),plain) $(if $(KEEP),--keep $(KEEP))

fuzz:  ## requests made by seed against a router: make fuzz N=10000 SEED=7
	@.ci/venv test
	@.venv/bin/python tests/hostile/fuzz.py --number $(or $(N),10000) --seed $(or $(SEED),1)

mutations:  ## four defects of the core, made in a copy of the tree: the soak must catch each
	@.ci/venv test
	@.venv/bin/python tests/soak/mutations.py

bench:  ## what a call costs, beside nginx and haproxy; QUICK=1: two minutes, not fifteen; ROWS="small path": only these; PEERS=1: other Python servers, too
	@.ci/venv dspy
	@.venv/bin/python -m bench.main $(if $(QUICK),--quick) $(if $(SAVE),--save) $(if $(PEERS),--peers) $(ROWS)

lock:  ## pins what images are made of anew: requirements/, each at its newest
	@.ci/venv test
	@.ci/lock

cluster:  ## a real Kubernetes of two nodes on this machine, with this checkout's images
	@.ci/venv test
	@PYTHONPATH=tests .venv/bin/python -m cluster.kube.main up

images:  ## builds the images anew where something changed, and loads them into the cluster
	@.ci/venv test
	@PYTHONPATH=tests .venv/bin/python -m cluster.kube.main images

cluster-down:  ## leaves nothing of the cluster
	@.ci/venv test
	@PYTHONPATH=tests .venv/bin/python -m cluster.kube.main down

clean:  ## what make made here
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .import_linter_cache
