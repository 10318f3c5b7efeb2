"""The command `lienthong`: what operators and department developers type."""

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import orjson
import typer
from rich.console import Console

from lienthong.errors import LienThongError

WITH: Final = {"env": "apply", "spool": "publish", "diff": "release", "down": "up", "status": "up"}
"""Commands that another's module adds; each of the others has a module of its own name."""


def assemble(wanted: str = "") -> typer.Typer:
    """Put the command together: every module of this folder adds its own.

    Args:
        wanted: The one that is wanted, so that nobody waits for what the others need; else all.
    """
    app = typer.Typer(
        name="lienthong",
        help="Liên Thông: a city's data bus. Departments share facts as events, by contract.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)  # else one that is alone would lose its name
    modules = sorted(found.name for found in pkgutil.iter_modules(__path__))
    own = WITH.get(wanted, wanted.replace("-", "_"))
    for module in [own] if own in modules else modules:
        importlib.import_module(f"{__name__}.{module}").register(app)
    return app


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command; what goes wrong is one sentence, and exit status 1 (2 for a wrong call).

    Args:
        words: What was typed after `lienthong`; this process's own arguments, where it is not said.
    """
    typed = sys.argv[1:] if words is None else list(words)
    try:
        assemble(typed[0] if typed else "")(typed)
    except LienThongError as error:
        _fail(error.code, str(error), as_json="--json" in typed)
    except OSError as error:
        if error.filename is None:
            raise
        sentence = f"{error.filename} cannot be used: {error.strerror}. Mend it, or name another place."
        _fail("place-not-usable", sentence, as_json="--json" in typed)
    sys.exit(0)


def _fail(code: str, sentence: str, *, as_json: bool) -> NoReturn:
    if as_json:
        sys.stdout.write(orjson.dumps({"error": code, "sentence": sentence}).decode() + "\n")
    Console(stderr=True).print(sentence, markup=False, style="red", soft_wrap=True)
    sys.exit(1)
