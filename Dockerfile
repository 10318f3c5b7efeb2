# One image for every process of the project: the departments' services, `lienthong apply`, the secrets.
FROM python:3.11.14-slim-trixie AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_DEPS=1
# Wheels only, each with a hash that is locked: nothing of others is built, nothing else gets in.
COPY deploy/build.lock deploy/requirements.lock /locks/
RUN python -m venv /build \
 && /build/bin/pip install --only-binary :all: --require-hashes --requirement /locks/build.lock \
 && python -m venv --without-pip /packages \
 && /build/bin/pip --python /packages/bin/python install \
    --only-binary :all: --require-hashes --requirement /locks/requirements.lock
COPY pyproject.toml README.md /source/
COPY lienthong /source/lienthong
RUN /build/bin/pip wheel --no-index --no-build-isolation --wheel-dir /wheels /source \
 && /build/bin/pip --python /packages/bin/python install --no-index /wheels/lienthong-*.whl \
 && /packages/bin/python -m compileall -q /packages

FROM python:3.11.14-slim-trixie
RUN pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin lienthong \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=packages /packages /packages
COPY contracts /app/contracts
COPY schemas /app/schemas
COPY services /app/services
ENV PATH=/packages/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LIENTHONG_ROOT=/app \
    LIENTHONG_DATA=/data
RUN python -m compileall -q /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000
# Ready: connected to Kafka and PostgreSQL, no part of the service has failed.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=2s --retries=4 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
CMD ["lienthong", "--help"]
