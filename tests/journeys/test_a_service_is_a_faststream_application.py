"""A department's service behaves as FastStream's users expect of an application."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import HTTPError, URLError

from faststream.asgi import AsgiFastStream
from faststream.kafka import KafkaBroker

from services.health.app import app
from tests.journeys.conftest import REPOSITORY, City, wait_for


def ask(port: int, path: str) -> tuple[int, str]:
    """Ask over HTTP; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except (URLError, ConnectionError):
        return 0, ""


def port_of(city: City, service: str) -> int:
    return int(json.loads((city.data / "services.json").read_text())[service]["port"])


def test_importing_a_service_connects_to_nothing() -> None:
    """Promise: an application is a FastStream one, with a Kafka broker, and importing it has no effect."""
    assert isinstance(app, AsgiFastStream)
    assert isinstance(app.broker, KafkaBroker)
    assert not app.broker.running


def test_a_running_service_tells_its_health_and_its_figures(city: City) -> None:
    """Promise: health and metrics are where an operator expects them."""
    port = port_of(city, "justice")
    assert ask(port, "/health/live") == (200, '{"live":true}')
    status, parts = ask(port, "/health/ready")
    assert (status, set(json.loads(parts).values())) == (200, {"ok"})
    status, figures = ask(port, "/metrics")
    assert status == 200
    assert 'lienthong_events_handled_total{group="justice.birth-registration"' in figures
    assert ask(port, "/elsewhere")[0] == 404


def test_faststream_run_starts_a_service_and_sigterm_ends_it(city: City, tmp_path: Path) -> None:
    """Promise: `faststream run services.health.app:app` works, beside another process of the same service."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = tmp_path / "said.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "faststream", "run", "services.health.app:app", "--port", str(port)],
            cwd=REPOSITORY,
            env=os.environ | {"LIENTHONG_DATA": str(city.data)},
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(lambda: ask(port, "/health/ready")[0] == 200, city, within=30)
        process.send_signal(signal.SIGTERM)
        # The server ends with the signal that ended it, once everything has been drained.
        assert process.wait(15) in {0, -signal.SIGTERM}
    finally:
        process.kill()
        process.wait()
    assert '"service_stopped"' in said.read_text()


def test_a_service_without_a_bus_says_what_to_do(tmp_path: Path) -> None:
    """Promise: what stands in the way of a start is one sentence, not a traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "faststream", "run", "services.health.app:app", "--port", "0"],
        cwd=REPOSITORY,
        env={k: v for k, v in os.environ.items() if not k.startswith("LIENTHONG_")}
        | {"LIENTHONG_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert "Start one with `lienthong up`" in said
    assert "Traceback" not in said, said
