"""The command `lienthong`: what operators and department developers type."""

import importlib
import pkgutil
import sys
from typing import NoReturn

import orjson
import typer
from rich.console import Console

from lienthong.errors import LienThongError

app = typer.Typer(
    name="lienthong",
    help="Liên Thông: a city's data bus. Departments share facts as events, by contract.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """Run the command; what goes wrong is one sentence, and exit status 1 (2 for a wrong call)."""
    for module in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}").register(app)
    try:
        app()
    except LienThongError as error:
        if "--json" in sys.argv:
            sys.stdout.write(orjson.dumps({"error": error.code, "sentence": str(error)}).decode() + "\n")
        Console(stderr=True).print(str(error), markup=False, style="red", soft_wrap=True)
        sys.exit(1)
    sys.exit(0)
