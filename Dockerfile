# The controller alone: no simulation, no tests, nothing that compiles.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/forescale
COPY pyproject.toml README.md LICENSE ./
COPY autoscaler autoscaler
COPY forecasting forecasting
RUN mkdir loadtests && /opt/forescale/bin/pip install --no-cache-dir --no-compile .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/forescale /opt/forescale
# Bytecode can't be written to a read-only root; without it every start compiles anew.
RUN /opt/forescale/bin/python -m compileall -q /opt/forescale/lib
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/forescale/bin:$PATH
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["forescale"]
CMD ["run"]
