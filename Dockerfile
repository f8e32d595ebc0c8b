# The controller alone: no simulation, no tests, no compiler, no pip.
FROM debian:bookworm-slim AS build
# Debian's own Python, in whatever version the release has today.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY autoscaler autoscaler
COPY forecasting forecasting
# Bytecode can't be written to a read-only root; without it every start would compile anew.
RUN python3 -m venv /opt/forescale \
 && /opt/forescale/bin/pip install --no-cache-dir --no-compile . \
 && /opt/forescale/bin/pip uninstall --yes pip \
 && /opt/forescale/bin/python -m compileall -q /opt/forescale/lib

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/forescale /opt/forescale
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/forescale/bin:/usr/bin:/bin
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["forescale"]
CMD ["run"]
