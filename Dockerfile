# One image for every process of the project: the departments' services, `lienthong apply`, the secrets.
FROM python:3.11.14-slim-trixie AS packages
COPY deploy/requirements.lock /requirements.lock
# Wheels only, each with a hash that is locked: nothing is built, nothing else gets in.
RUN python -m venv --without-pip /packages \
 && pip --python /packages/bin/python install --no-cache-dir --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes --requirement /requirements.lock

FROM python:3.11.14-slim-trixie
RUN pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin lienthong \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=packages /packages /packages
COPY lienthong /app/lienthong
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
CMD ["python", "-m", "lienthong", "--help"]
