# The controller alone: no simulation, no tests, no compiler, no pip.
FROM debian:bookworm-slim AS build
# Debian's own Python, in whatever version the release has today.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY autoscaler autoscaler
COPY forecasting forecasting
# Left out: the libraries' own tests, and debug symbols, but for the libraries that wheels bring along in *.libs: their
# pages were moved when they were put there, and stripped they don't load. Bytecode can't be written to a read-only root;
# without it every start would compile anew.
RUN python3 -m venv /opt/forescale \
 && /opt/forescale/bin/pip install --no-cache-dir --no-compile . \
 && /opt/forescale/bin/pip uninstall --yes pip setuptools \
 && find /opt/forescale/lib -type d -name tests -prune -exec rm -rf {} + \
 && find /opt/forescale/lib -name '*.so' -not -path '*.libs/*' -exec strip --strip-debug {} + \
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
