"""The command as it is typed: help with examples, exit statuses, one sentence for what goes wrong."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer

from lienthong.commands import assemble, main
from tests.unit.contract_city import City

EXAMPLE = re.compile(r"^\s*Example: (?P<line>.+)$", re.MULTILINE)


def leaves(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every command that does something, with the words that lead to it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, found in inner.items():
        yield from leaves(found, *words, name)


ROOT = typer.main.get_command(assemble())
COMMANDS = dict(leaves(ROOT))
EXAMPLES = [
    (words, found["line"])
    for words, command in COMMANDS.items()
    for found in EXAMPLE.finditer(command.help or "")
]


@pytest.fixture(autouse=True)
def nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("LIENTHONG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Type words after `lienthong`; gives exit status, standard output and standard error."""

    def typed(*words: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return (ended.value.code or 0, *capsys.readouterr())

    return typed


def test_the_help_names_every_command(run):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert [words[0] for words in COMMANDS if f" {words[0]} " not in out] == []


def test_the_commands_are_these():
    assert {" ".join(words) for words in COMMANDS} >= {
        "apply",
        "contracts check",
        "contracts list",
        "demo",
        "down",
        "env",
        "release",
        "status",
        "up",
    }


def test_each_command_is_the_same_where_it_is_the_only_one_that_is_put_together():
    for name in {words[0] for words in COMMANDS}:
        alone = dict(leaves(typer.main.get_command(assemble(name))))
        assert {words for words in COMMANDS if words[0] == name} <= alone.keys()
        assert len(alone) < len(COMMANDS)


def test_a_word_that_is_no_command_is_told_so(run):
    status, _, err = run("aply")
    assert status == 2
    assert "No such command 'aply'" in err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(run, words):
    status, out, _ = run(*words, "--help")
    assert status == 0
    assert f"Example: lienthong {' '.join(words)}" in out or f"$(lienthong {' '.join(words)}" in out


@pytest.mark.parametrize(("words", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_every_example_can_be_typed(words, line):
    found = re.search(r"lienthong ([^)>|]+)", line)
    assert found is not None
    typed = shlex.split(found[1])
    assert tuple(typed[: len(words)]) == words
    COMMANDS[words].make_context(line, typed[len(words) :])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_speaks_json_too(words):
    assert "--json" in {name for parameter in COMMANDS[words].params for name in parameter.opts}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is_for(words):
    silent = [p.name for p in COMMANDS[words].params if not getattr(p, "help", None) and p.name != "help"]
    assert silent == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("no-such-command",),
        ("contracts",),
        ("contracts", "no-such-command"),
        ("up", "--brokers", "many"),
        ("env",),
        ("env", "health", "--format", "yaml"),
        ("release", "--no-such-option"),
        ("demo", "--dossiers", "0"),
        ("dead-letters", "send-again", "justice"),
        ("dead-letters", "discard", "justice", "--why", " "),
        ("dead-letters", "list", "justice", "--state", "lost"),
        ("status", "surplus"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_exit_status_2(run, words):
    status, _, _ = run(*words)
    assert status == 2


WRONG = {
    "outside every project": (("contracts", "check"), "settings-not-usable", "set LIENTHONG_ROOT."),
    "no bus": (("env", "health", "--data", "nowhere"), "bus-not-usable", "Start one with `lienthong up`"),
    "no super user": (
        ("apply", "--bootstrap-servers", "127.0.0.1:1"),
        "settings-not-usable",
        "Name the file that holds it: --password-file FILE.",
    ),
    "a file for a folder": (
        ("status", "--data", "contracts/trade/department.yaml"),
        "place-not-usable",
        "cannot be used: Not a directory. Mend it, or name another place.",
    ),
}


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City.found(tmp_path)


@pytest.mark.parametrize(("words", "code", "remedy"), WRONG.values(), ids=WRONG.keys())
def test_what_goes_wrong_is_one_sentence_on_standard_error_and_exit_status_1(
    run, words, code, remedy, tmp_path
):
    if words[0] != "contracts":
        City.found(tmp_path)
    status, out, err = run(*words)
    assert (status, out) == (1, "")
    assert remedy in err
    assert err.count("\n") == 1, "one sentence, on one line, and no traceback"


@pytest.mark.parametrize(("words", "code", "remedy"), WRONG.values(), ids=WRONG.keys())
def test_what_goes_wrong_is_json_for_who_asks_for_json(run, words, code, remedy, tmp_path):
    if words[0] != "contracts":
        City.found(tmp_path)
    status, out, err = run(*words, "--json")
    told = orjson.loads(out)
    assert status == 1
    assert told["error"] == code
    assert remedy in told["sentence"]
    assert told["sentence"] in err


def test_what_goes_well_is_exit_status_0(run, city):
    assert run("contracts", "check") == (0, "Every contract is sound.\n", "")


def test_findings_are_exit_status_1(run, city):
    city.write("contracts/trade/odd.txt", "odd")
    status, out, err = run("contracts", "check")
    assert (status, err) == (1, "")
    assert out.endswith("1 problem.\n")


def test_no_bus_is_exit_status_1_of_status(run, city):
    status, out, _ = run("status", "--json")
    assert (status, orjson.loads(out)["state"]) == (1, "stopped")


def test_stopping_what_does_not_run_is_no_failure(run, city):
    status, out, _ = run("down")
    assert (status, out.startswith("No bus runs on ")) == (0, True)


def test_the_command_can_be_put_together_twice(run, city):
    assert run("contracts", "check")[0] == 0
    assert run("contracts", "check")[0] == 0
