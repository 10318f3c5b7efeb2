"""`lienthong apply` on a cluster that is not embedded: what it refuses before it connects to anything."""

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from lienthong.cluster.databases import Postgres
from lienthong.commands import apply as commands
from lienthong.commands import rotate as rotation
from lienthong.errors import SettingsNotUsable
from lienthong.settings import far_servers

SECRET = "very-secret-word"


@pytest.fixture
def refusal(tmp_path: Path):
    """Run `lienthong apply` with these options and give the sentence with which it refuses."""
    (tmp_path / "password").write_text(SECRET)
    app = Typer()
    commands.register(app)
    app.command("other")(lambda: None)

    def run(*words: str) -> str:
        words = tuple(word.replace("FILE", str(tmp_path / "password")) for word in words)
        found = CliRunner().invoke(app, ["apply", "--yes", "--data", str(tmp_path), *words]).exception
        assert isinstance(found, SettingsNotUsable)
        assert SECRET not in str(found)
        return str(found)

    return run


@pytest.mark.parametrize(
    "servers", ["kafka-1:9092", "127.0.0.1:9092,10.0.0.7:9092", "localhost.example:9092"]
)
def test_no_password_is_sent_in_the_clear_to_another_machine(refusal, servers):
    words = ("--bootstrap-servers", servers, "--password-file=FILE", "--security-protocol=SASL_PLAINTEXT")
    sentence = refusal(*words)
    assert f"SASL_PLAINTEXT to {servers.split(',')[-1]} would send passwords in the clear" in sentence
    assert "--ca-file" in sentence


def test_a_broker_is_far_unless_it_is_surely_here():
    assert far_servers("localhost:1,127.0.0.9:2,[::1]:3") == []
    assert far_servers("kafka-1:1,127.0.0.1:2") == ["kafka-1:1"]


def test_a_database_without_a_cluster_is_not_guessed(refusal):
    sentence = refusal("--database-url=postgresql://postgres@db:5432", "--database-password-file=FILE")
    assert "the embedded bus has its own" in sentence


def test_a_database_needs_a_password_file(refusal):
    cluster = ("--bootstrap-servers=kafka-1:9092", "--password-file=FILE")
    assert "--database-password-file" in refusal(*cluster, "--database-url=postgresql://postgres@db:5432")


@pytest.mark.parametrize("words", [(), ("health", "--all")])
def test_whose_password_is_rotated_is_never_guessed(tmp_path, words):
    app = Typer()
    rotation.register(app)
    app.command("other")(lambda: None)
    found = CliRunner().invoke(app, ["rotate", "--data", str(tmp_path), *words]).exception
    assert isinstance(found, SettingsNotUsable)
    assert "not said whose password" in str(found)


def test_an_address_of_a_database_is_read():
    found = Postgres.at("postgresql://super%40user@db:6543/main?sslmode=verify-full&sslrootcert=/ca", SECRET)
    assert (found.host, found.port, found.username, found.database) == ("db", 6543, "super@user", "main")
    assert found.parameters == "sslmode=verify-full&sslrootcert=/ca"
    assert SECRET not in repr(found)
    plain = Postgres.at("postgresql://postgres@db", SECRET)
    assert (plain.port, plain.database, plain.parameters) == (5432, "postgres", "")


@pytest.mark.parametrize(
    "url",
    ["db:5432", "mysql://admin@db", "postgresql://db:5432", "postgresql://u@", "postgresql://u@db:none", ""],
)
def test_what_is_no_address_of_a_database_is_refused(url):
    with pytest.raises(SettingsNotUsable, match=r"is not postgresql://user@host:port/database"):
        Postgres.at(url, SECRET)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(SettingsNotUsable, match=r"at db holds a password.* into a file") as refused:
        Postgres.at(f"postgresql://postgres:{SECRET}@db", SECRET)
    assert SECRET not in str(refused.value)
