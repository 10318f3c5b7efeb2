"""Each container gets a folder with its own secrets: no other's, nobody else's to read, made once."""

import os
import re
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong.cluster.certificates import SERVER_LASTS
from lienthong.cluster.hand_out import hand_out
from lienthong.cluster.secret_folders import SecretFolders
from lienthong.errors import SettingsNotUsable

NOW = datetime.now(UTC)
OURSELVES = os.geteuid()
BROKERS = ("kafka-1", "kafka-2")
READERS = ("apply", "health")


def fill(folder: Path, now: datetime = NOW, owner: int = OURSELVES) -> list[str]:
    folders = SecretFolders(folder, now)
    for broker in BROKERS:
        folders.fill_broker(broker, owner)
    folders.fill_database("postgres", owner)
    for reader in READERS:
        folders.fill_reader(reader, owner)
    return folders.made


def held(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_each_folder_holds_what_its_container_needs_and_no_more(tmp_path):
    fill(tmp_path)
    assert set(held(tmp_path)) == {
        "apply/ca.pem",
        "apply/kafka-admin.password",
        "apply/postgres.password",
        "authority/authority.pem",
        "authority/kafka-admin.password",
        "authority/kafka-controller.password",
        "authority/postgres.password",
        "health/ca.pem",
        *(
            f"{broker}/{file}"
            for broker in BROKERS
            for file in ("ca.pem", "format.arguments", "server.pem", "server.properties")
        ),
        *(f"postgres/{f}" for f in ("ca.pem", "password", "server.crt", "server.key", "server.pem")),
    }


def test_the_authoritys_key_is_in_its_own_folder_only(tmp_path):
    fill(tmp_path)
    key = held(tmp_path)["authority/authority.pem"].partition(b"-----BEGIN CERTIFICATE-----")[0]
    assert b"PRIVATE KEY" in key
    assert [name for name, text in held(tmp_path).items() if key in text] == ["authority/authority.pem"]


def test_every_server_has_a_key_of_its_own(tmp_path):
    fill(tmp_path)
    found = [text for name, text in held(tmp_path).items() if name.endswith("server.pem")]
    keys = {text.partition(b"-----BEGIN CERTIFICATE-----")[0] for text in found}
    assert len(keys) == len(BROKERS) + 1


def test_nobody_but_its_owner_enters_a_folder_or_reads_a_file(tmp_path):
    fill(tmp_path)
    found = [*tmp_path.iterdir(), *(tmp_path / name for name in held(tmp_path))]
    assert [str(p) for p in found if stat.S_IMODE(p.stat().st_mode) & 0o077] == []


@pytest.mark.skipif(OURSELVES != 0, reason="only root gives files to others")
def test_files_belong_to_the_user_of_their_container(tmp_path):
    fill(tmp_path, owner=12345)
    others = [name for name in held(tmp_path) if not name.startswith("authority/")]
    assert {(tmp_path / n).stat().st_uid for n in others} == {12345}
    assert {(tmp_path / n).stat().st_uid for n in (*BROKERS, "postgres", *READERS)} == {12345}
    assert (tmp_path / "authority/authority.pem").stat().st_uid == 0
    assert fill(tmp_path, owner=12345) == []


def test_twice_is_the_same_as_once(tmp_path):
    assert fill(tmp_path)
    before = held(tmp_path)
    assert fill(tmp_path) == []
    assert held(tmp_path) == before


def test_a_certificate_near_its_end_is_renewed_and_nothing_else(tmp_path):
    fill(tmp_path)
    before = held(tmp_path)
    made = fill(tmp_path, NOW + SERVER_LASTS)
    assert sorted(made) == sorted(
        [*(f"{b}/server.pem" for b in BROKERS), *(f"postgres/server.{end}" for end in ("pem", "key", "crt"))]
    )
    unchanged = held(tmp_path).keys() - set(made)
    assert {n: held(tmp_path)[n] for n in unchanged} == {n: before[n] for n in unchanged}


def test_what_was_removed_is_made_anew(tmp_path):
    fill(tmp_path)
    old = held(tmp_path)["kafka-1/server.pem"]
    (tmp_path / "kafka-1/server.pem").unlink()
    assert fill(tmp_path) == ["kafka-1/server.pem"]
    assert held(tmp_path)["kafka-1/server.pem"] != old


def test_a_new_authority_signs_every_server_anew(tmp_path):
    fill(tmp_path)
    (tmp_path / "authority/authority.pem").unlink()
    made = fill(tmp_path)
    assert {name for name in held(tmp_path) if name.endswith(("server.pem", "ca.pem"))} <= set(made)


def test_a_run_that_was_stopped_is_ended_by_the_next(tmp_path):
    folders = SecretFolders(tmp_path, NOW)
    folders.fill_broker("kafka-1", OURSELVES)
    assert "kafka-2/server.pem" in fill(tmp_path)
    passwords = {
        re.findall(
            r'username="(\w+)" password="(\w+)"', held(tmp_path)[f"{broker}/server.properties"].decode()
        )[0]
        for broker in BROKERS
    }
    assert passwords == {("admin", held(tmp_path)["authority/kafka-admin.password"].decode())}


def test_the_databases_key_fits_its_certificate(tmp_path):
    fill(tmp_path)
    place = tmp_path / "postgres"
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(place / "server.crt", place / "server.key")


def test_the_command_of_the_containers_fills_the_folders(tmp_path):
    words = ["--broker=kafka-1", f"--broker-user={OURSELVES}", "--database=postgres"]
    words += [f"--database-user={OURSELVES}", "--reader=apply", f"--reader-user={OURSELVES}"]
    command = [sys.executable, "-m", "lienthong.cluster.secret_folders", str(tmp_path), *words]
    first, second = (subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(2))
    assert first.stdout.startswith("Written: authority/authority.pem, ")
    assert second.stdout == "Nothing to do.\n"
    secrets = [text.decode() for name, text in held(tmp_path).items() if name.endswith("password")]
    assert [secret for secret in secrets if secret in first.stdout] == []
    (tmp_path / "authority/authority.pem").write_text("nonsense")
    broken = subprocess.run(command, check=False, capture_output=True, text=True)
    assert broken.returncode == 1
    assert broken.stderr.startswith("The certificate authority cannot be read")


@pytest.fixture
def applied(tmp_path) -> Path:
    """A data folder in which `lienthong apply` has left the passwords of two departments."""
    (tmp_path / "data/secrets").mkdir(parents=True)
    for department in ("health", "police"):
        (tmp_path / f"data/secrets/{department}.password").write_text(f"of-{department}")
    (tmp_path / "departments/health").mkdir(parents=True)
    (tmp_path / "departments/science").mkdir()
    return tmp_path


def test_a_department_gets_its_own_password_where_it_has_a_folder(applied):
    assert hand_out(applied / "data", applied / "departments") == ["health"]
    assert held(applied / "departments") == {"health/password": b"of-health"}
    assert stat.S_IMODE((applied / "departments/health/password").stat().st_mode) == 0o600
    assert hand_out(applied / "data", applied / "departments") == []


def test_a_new_password_takes_the_place_of_the_old_one(applied):
    hand_out(applied / "data", applied / "departments")
    (applied / "data/secrets/health.password").write_text("another")
    assert hand_out(applied / "data", applied / "departments") == ["health"]
    assert held(applied / "departments") == {"health/password": b"another"}


def test_a_folder_that_is_not_there_gets_a_sentence(applied):
    with pytest.raises(SettingsNotUsable, match=r"handed out to .*nowhere: No such file.* Name a folder"):
        hand_out(applied / "data", applied / "nowhere")
