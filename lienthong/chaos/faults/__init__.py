"""The faults that the checker can inject, by name: every module here brings its own."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Final

from lienthong.chaos.fault import Fault


def _collect() -> dict[str, Fault]:
    modules = sorted(found.name for found in pkgutil.iter_modules(__path__))
    brought = (importlib.import_module(f"{__name__}.{module}").FAULTS for module in modules)
    return {fault.name: fault for faults in brought for fault in faults}


FAULTS: Final[Mapping[str, Fault]] = _collect()
