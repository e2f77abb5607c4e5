# The commands of the lab. `make` alone lists them. Each sets up what it needs first.

.DEFAULT_GOAL := help
.PHONY: help setup lab lessons test faults soak tally fuzz bench bench-peers test-kernels docs test-docs test-panels clean lock container test-container \
	classroom classroom-image classroom-stop test-hub test-classroom

# Debian gives /usr/sbin (bpftool, ip) to root only.
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/sbin:/sbin

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

setup: ## install all that the lab needs; about a second when it is there already
	@scripts/setup.sh

lab: setup ## open JupyterLab on lesson 00
	@scripts/as-root.sh scripts/lab.sh

lessons: setup ## run every lesson without a browser, into build/lessons/
	@scripts/as-root.sh labkit lessons

# The measurement lock is the machine's, unless LABKIT_LOCK names a file: a lab that is open waits for the tests.
test: ## run every test that this machine can run (ARGS=... goes to pytest)
	@scripts/setup.sh test
	@LABKIT_LOCK=$${LABKIT_LOCK-} scripts/as-root.sh python -m pytest $(ARGS)

test-classroom: ## grade thirty generated learners, three times; two in a virtual machine (40 minutes)
	@scripts/setup.sh test
	@LABKIT_TEST_CLASSROOM=1 scripts/as-root.sh python -m pytest tests/classroom $(ARGS)

faults: ## interrupt and kill every experiment many times (TIMES=50: of each; an hour and more)
	@scripts/setup.sh test
	@LABKIT_LOCK=$${LABKIT_LOCK-} LABKIT_FAULTS=$(or $(TIMES),50) scripts/as-root.sh python -m pytest tests/faults $(ARGS)

soak: ## run all experiments in a loop, then all lessons, and look whether anything grows (MINUTES=60: of each)
	@scripts/setup.sh test
	@LABKIT_QUICK=1 scripts/as-root.sh env PYTHONPATH=tests python -m faults.soak $(MINUTES)
	@scripts/as-root.sh env PYTHONPATH=tests python -m faults.soak_lessons $(MINUTES)

tally: ## delivered + lost = produced over EVENTS=100000000 (half an hour)
	@scripts/setup.sh test
	@scripts/as-root.sh env PYTHONPATH=tests python -m faults.tally $(or $(EVENTS),100000000)

fuzz: ## give a million damaged texts to all that reads what others wrote, and odd arguments to each experiment (INPUTS=, SEED=)
	@scripts/setup.sh test
	@scripts/as-root.sh env PYTHONPATH=tests python -W ignore -m fuzz $(or $(INPUTS),1000000) $(or $(SEED),1)
	@LABKIT_FUZZ=1 scripts/as-root.sh python -m pytest tests/lessons/test_odd_arguments.py $(ARGS)

bench: setup ## measure the lab against its peers, into build/bench.json and bench.html (ONLY=io.warm: some figures)
	@scripts/as-root.sh python -m bench $(ONLY)

bench-peers: setup ## fetch nginx for the bench into the lab's cache folder; it is unpacked, not installed
	@scripts/as-root.sh python -m bench.peers

test-kernels: ## run the kernel-facing tests on other kernels, under emulation (ARCH=arm64, QUICK=1, MINUTES=90, ADD=1, KERNELS=6.12, TESTS=...)
	@scripts/setup.sh test
	@$(if $(ARCH),scripts/setup.sh emulate)
	@scripts/as-root.sh env PYTHONPATH=tests python -m kernels $(if $(ARCH),--arch $(ARCH)) $(if $(QUICK),--quick) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(ADD),--add) $(if $(KERNELS),--kernels $(KERNELS)) -- $(TESTS)

docs: ## build the site into build/site/: lessons with the outputs of the last `make lessons`, guides, reference
	@scripts/setup.sh docs
	@PYTHONPATH='$(CURDIR)' .venv-docs/bin/python docs/site/build.py

test-docs: docs ## build the site, and look at every page of it in Chromium (2 minutes)
	@scripts/setup.sh test
	@LABKIT_TEST_SITE=1 scripts/as-root.sh python -m pytest tests/site $(ARGS)

test-panels: ## look at every panel in JupyterLab, at three widths and in two themes; pictures in build/browser/ (3 minutes)
	@scripts/setup.sh test
	@LABKIT_TEST_PANELS=1 scripts/as-root.sh python -m pytest tests/browser/test_every_panel.py tests/browser/test_watch_panel.py $(ARGS)

container: ## build the lab's image and start it with docker or podman (REDUCED=1, PORT=8888)
	@REDUCED='$(REDUCED)' PORT='$(PORT)' scripts/container.sh

test-container: ## build the image over a base made of packages, and try the lab in it (podman, as root; 15 minutes)
	@scripts/setup.sh test
	@scripts/setup.sh engine
	@LABKIT_TEST_CONTAINER=1 scripts/as-root.sh python -m pytest tests/container $(ARGS)

classroom: ## start the hub for a class, with docker or podman (PORT=8000, LEARNERS=FILE): docs/teaching.md
	@classroom/setup.sh
	@scripts/as-root.sh env PORT='$(PORT)' LEARNERS='$(LEARNERS)' build/classroom/venv/bin/python classroom/hub.py

classroom-image: ## build the image that the hub starts for each learner
	@scripts/container.sh image

classroom-stop: ## end the learners' containers; their volumes stay
	@scripts/as-root.sh python3 classroom/hub.py stop

test-hub: ## try the hub, and several labs on one kernel, with podman and Chromium (as root; 20 minutes)
	@scripts/setup.sh test
	@scripts/setup.sh engine
	@classroom/setup.sh
	@LABKIT_TEST_HUB=1 scripts/as-root.sh python -m pytest tests/hub $(ARGS)

lock: # for maintainers: the lock files, from pyproject.toml
	@scripts/lock.sh

clean: ## remove what was built and installed in this tree; your notebooks and data/ stay
	@rm -rf .venv .venv-docs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +
