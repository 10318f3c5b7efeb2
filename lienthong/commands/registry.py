"""`lienthong registry`: the frozen schemas for clients of a schema registry."""

import contextlib
import ipaddress
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
import uvicorn

from lienthong.errors import BusNotUsable, SettingsNotUsable
from lienthong.logs import set_up_logs
from lienthong.registry import registry_app
from lienthong.settings import find_root

PORT: Final = 8081
"""Where clients look for a schema registry unless told."""


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("registry")(registry)


class Server(uvicorn.Server):
    """Ends in order at SIGTERM and Ctrl-C, and then leaves the process to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the two signals over; what uvicorn does, without raising them again after the end."""
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def registry(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = PORT,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TLS certificate (PEM): needed off this machine.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the address as one JSON document.")] = False,
) -> None:
    """Serve the frozen schemas to clients of Confluent's schema registry; read-only, until stopped.

    Example: lienthong registry --port 8081
    """
    if certificate is None and not is_here(host):
        raise SettingsNotUsable(
            reason=f"{host} is reached from other machines, and no certificate is given.",
            remedy="Name --certificate and --key, or put a proxy with TLS before 127.0.0.1.",
        )
    if certificate is not None:
        check_certificate(certificate, key)
    app = registry_app(find_root())
    listening = listen(host, port)
    set_up_logs()
    scheme = "http" if certificate is None else "https"
    shown, taken = listening.getsockname()[:2]
    url = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{taken}"
    typer.echo(
        orjson.dumps({"url": url}).decode() if as_json else f"The schema registry is at {url}, read-only."
    )
    Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            limit_concurrency=200,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    ).run(sockets=[listening])


def is_here(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_certificate(certificate: Path, key: Path | None) -> None:
    """See that certificate and key can be read and belong together, before anything is told."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:  # ssl.SSLError is one
        raise SettingsNotUsable(
            reason=f"{certificate} and its key cannot be used: {error.strerror or type(error).__name__}.",
            remedy="Name a certificate, and with --key the key it was made with, without a password.",
        ) from error


def listen(host: str, port: int) -> socket.socket:
    """Take the port, before anything is told of it."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise BusNotUsable(
            reason=f"Port {port} of {host} cannot be taken: {error.strerror}.",
            remedy="Stop what listens there, or choose another --port.",
        ) from error
