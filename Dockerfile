# The lab in a container, for amd64 and arm64. How it is started, and what it is given: compose.yaml, docs/container.md.
FROM debian:trixie-slim

WORKDIR /lab
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1

# What changes seldom comes first, so that an edit of a lesson rebuilds in seconds. The lists are those of `make setup`.
# The package of kernel headers brings a kernel, which a container never boots.
COPY packages.txt ./
COPY scripts/packages.sh scripts/
RUN apt-get update \
    && apt-get install -y --no-install-recommends $(scripts/packages.sh run image) \
    && rm -rf /boot/* /usr/lib/modules/* /var/lib/apt/lists/* /var/log/* /var/cache/*

COPY requirements.lock pyproject.toml ./
COPY scripts/setup.sh scripts/jupyterlab-settings.json scripts/
RUN scripts/setup.sh python \
    && find .venv -path '*/site-packages/*/tests' -not -path '*/numpy/*' -prune -exec rm -rf {} +

COPY . .
RUN scripts/setup.sh

# Inside the container it listens on all addresses; compose.yaml publishes it on 127.0.0.1 only.
# The learner's copies of the lessons are in a folder of their own, which outlives the container.
ENV LABKIT_LISTEN=0.0.0.0 LABKIT_NOTEBOOKS=/lab/learner LABKIT_PROGRESS=/lab/learner/progress.json \
    PATH=/lab/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME ["/lab/data", "/lab/learner"]
EXPOSE 8888
HEALTHCHECK --start-period=60s --interval=30s --timeout=10s CMD ["scripts/container-health.sh"]

# The first process passes signals on and ends what a killed notebook left; -s: under the host's process ids, too.
ENTRYPOINT ["tini", "-s", "--", "scripts/container-start.sh"]
CMD ["scripts/lab.sh"]
