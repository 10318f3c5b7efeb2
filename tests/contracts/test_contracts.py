"""The city's own contracts and frozen schemas: sound, official, frozen for good, and one with the classes."""

import hashlib
import importlib
import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from ruamel.yaml import YAML

from lienthong.contracts import Contract, load_contracts
from lienthong.contracts.check import check
from lienthong.contracts.majors import draft_major
from lienthong.contracts.release import release
from lienthong.declare_once import check_forms

ROOT = Path(__file__).parents[2]
CONTRACTS = load_contracts(ROOT)
FILES = sorted(
    path
    for path in (ROOT / "contracts").glob("*/*.yaml")
    if path.name != "department.yaml" and not path.name.endswith(".examples.yaml")
)
BY_TOPIC = pytest.mark.parametrize("contract", CONTRACTS.contracts.values(), ids=CONTRACTS.contracts.keys())


def test_every_contract_is_sound() -> None:
    assert [str(finding) for finding in check(ROOT)] == []


def test_nothing_is_left_to_release() -> None:
    released = release(ROOT, write=False)
    assert (released.schemas, released.modules) == ((), ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_contract_passes_the_official_odcs_schema(path: Path) -> None:
    """Neither our reader nor our house rules have a hand in this one."""
    official = json.loads((files("open_data_contract_standard") / "schema.json").read_text("utf-8"))
    data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    found = [error.message for error in jsonschema_rs.validator_for(official).iter_errors(data)]
    assert found == []


def test_the_contracts_show_every_kind_of_field_the_house_has() -> None:
    fields = [field for contract in CONTRACTS.contracts.values() for _, field in contract.iter_fields()]
    foreign = [
        field.name
        for contract in CONTRACTS.contracts.values()
        for _, field in contract.iter_fields()
        if field.reference is not None and not field.reference.startswith(f"{contract.topic.department}.")
    ]
    assert {"object", "array", "string", "timestamp", "date"} <= {field.logical_type for field in fields}
    assert {field.required for field in fields} == {True, False}
    assert {"personal", "sensitive"} <= {field.classification for field in fields}
    assert any(field.codes for field in fields)
    assert any(contract.rules for contract in CONTRACTS.contracts.values())
    assert foreign


def test_every_contract_can_be_drafted_as_its_next_major_and_all_is_still_sound(tmp_path: Path) -> None:
    for folder in ("contracts", "schemas", "services"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
    drafts = [draft_major(tmp_path, topic) for topic in CONTRACTS.contracts]
    assert {len(files) for files in drafts} == {2}
    assert [str(finding) for finding in (*check(tmp_path), *check_forms(load_contracts(tmp_path)))] == []
    assert release(tmp_path, write=False).schemas == ()


# Frozen for good.


def has_history() -> bool:
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False)
    return (ROOT / ".git").exists() and asked.returncode == 0


BESIDE = ("schemas/index.json", "schemas/promises.json")
in_a_clone = pytest.mark.skipif(not has_history(), reason="not a clone: there is no history to compare with")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@in_a_clone
def test_no_frozen_schema_was_ever_changed_moved_or_deleted() -> None:
    log = git("log", "--no-renames", "--format=", "--name-status", "--diff-filter=MDT", "--", "schemas")
    touched = [line for line in log.splitlines() if line and not line.endswith(BESIDE)]
    assert touched == []


@in_a_clone
def test_every_frozen_schema_is_today_what_it_was_in_its_first_commit() -> None:
    changed = []
    for path in sorted((ROOT / "schemas").glob("*/*/*.json")):
        where = path.relative_to(ROOT).as_posix()
        first = git("log", "--no-renames", "--diff-filter=A", "--format=%H", "--", where).split()
        if first and git("show", f"{first[-1]}:{where}") != path.read_text("utf-8"):
            changed.append(where)
    assert changed == []


def merge_base() -> str | None:
    """The commit where this branch left the main one; None where it cannot be known, or is this one."""
    for name in ("origin/main", "main"):
        asked = subprocess.run(
            ["git", "merge-base", "HEAD", name], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            return asked.stdout.strip()
    return None


BASE = merge_base() if has_history() else None


@pytest.mark.skipif(BASE is None, reason="no main branch here: there is no merge base to compare with")
def test_every_schema_frozen_at_the_merge_base_is_here_byte_for_byte() -> None:
    """Uncommitted changes are seen too; what differs is named."""
    listed = git("ls-tree", "-r", "--name-only", str(BASE), "--", "schemas").splitlines()
    frozen = [name for name in listed if name.count("/") == 3]
    assert frozen
    changed = [
        name
        for name in frozen
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != git("show", f"{BASE}:{name}")
    ]
    assert changed == []


def test_the_index_holds_the_fingerprint_of_every_frozen_schema() -> None:
    top = ROOT / "schemas"
    index = orjson.loads((top / "index.json").read_bytes())
    found = {
        path.relative_to(top).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in top.glob("*/*/*.json")
    }
    assert index == found


# Class and schema agree.


def classes(contract: Contract, department: str, table: str) -> Any:
    module = importlib.import_module(f"services.{department}.events")
    return getattr(module, table)[str(contract.topic)]


@BY_TOPIC
def test_valid_examples_survive_the_way_through_the_publishers_class(contract: Contract) -> None:
    cls = classes(contract, contract.topic.department, "PUBLISHES")
    frozen = (
        ROOT / "schemas" / contract.topic.department / contract.topic.event / f"{cls.SCHEMA_VERSION}.json"
    )
    validator = jsonschema_rs.validator_for(orjson.loads(frozen.read_bytes()), validate_formats=True)
    for example in contract.valid_examples:
        event = cls.model_validate(example)
        written = orjson.loads(event.model_dump_json(exclude_none=True))
        assert validator.is_valid(written), [error.message for error in validator.iter_errors(written)]
        assert cls.model_validate(written) == event
        assert written.keys() == example.keys()


def has_room(department: str) -> bool:
    return (ROOT / "services" / department).is_dir()


@BY_TOPIC
def test_valid_examples_can_be_read_by_every_granted_department_with_its_fields_only(
    contract: Contract,
) -> None:
    # A department may read with a client of its own: then it has no room here, and no classes.
    for department in {grant.department for grant in contract.grants if has_room(grant.department)}:
        cls = classes(contract, department, "READS")
        granted = {name for grant in contract.grants_of(department) for name in grant.fields}
        assert cls.model_fields.keys() == granted
        for example in contract.valid_examples:
            cls.model_validate(example)


@BY_TOPIC
def test_no_personal_value_of_an_example_is_shown_by_its_class(contract: Contract) -> None:
    cls = classes(contract, contract.topic.department, "PUBLISHES")
    for example in contract.valid_examples:
        shown = repr(cls.model_validate(example))
        protected = {
            path.split("/")[-1]
            for path, field in contract.iter_fields()
            if field.classification in ("personal", "sensitive")
        }
        assert not {name for name in protected if f"{name}=" in shown}
