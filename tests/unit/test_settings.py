"""What a process is told from outside: complete, spelt right, safe, or refused with what to do."""

import os
from pathlib import Path

import orjson
import pytest

from lienthong.errors import BusNotUsable, SettingsNotUsable
from lienthong.settings import (
    Settings,
    embedded_environment,
    find_data,
    find_root,
    load_bus,
    load_settings,
)

SECRET = "very-secret-word"
SOUND = {
    "LIENTHONG_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "LIENTHONG_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "LIENTHONG_USERNAME": "justice",
    "LIENTHONG_PASSWORD": SECRET,
    "LIENTHONG_DATABASE_URL": f"postgresql://justice:{SECRET}@127.0.0.1:5432/justice",
}


@pytest.fixture(autouse=True)
def nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("LIENTHONG_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch):
    """Put a sound environment in place, with changes; None leaves a variable out."""

    def put(**changes: str | None) -> None:
        for name, value in {**SOUND, **{f"LIENTHONG_{k.upper()}": v for k, v in changes.items()}}.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return put


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder on which a bus runs that knows justice."""
    place = tmp_path / "data"
    (place / "secrets").mkdir(parents=True)
    (place / "secrets" / "justice.password").write_text(f"{SECRET}\n")
    described = {
        "bootstrap_servers": "127.0.0.1:19092",
        "postgres": {"host": "127.0.0.1", "port": 15432, "superuser": "postgres"},
    }
    (place / "bus.json").write_bytes(orjson.dumps(described))
    return place


def refusal(department: str = "justice", **given) -> str:
    """Give the sentence with which settings are refused."""
    with pytest.raises(SettingsNotUsable) as refused:
        load_settings(department, **given)
    assert SECRET not in str(refused.value)
    return str(refused.value)


def test_a_whole_environment_is_taken(tell):
    tell(batch_records="7")
    settings = load_settings("justice")
    assert (settings.bootstrap_servers, settings.batch_records) == ("127.0.0.1:9092", 7)
    assert settings.read_password() == SECRET
    assert settings.read_database_url() == SOUND["LIENTHONG_DATABASE_URL"]


def test_a_secret_is_not_shown_when_settings_are(tell):
    tell()
    assert SECRET not in repr(load_settings("justice"))


@pytest.mark.parametrize("name", ["LIENTHONG_BATCH_RECORD", "LIENTHONG_", "lienthong_batch_records"])
def test_a_misspelt_variable_is_named(tell, monkeypatch, name):
    tell()
    monkeypatch.setenv(name, "7")
    assert f"No such setting: {name}. Correct the spelling" in refusal()


def test_where_things_lie_is_no_setting_and_no_misspelling(tell, monkeypatch):
    tell()
    monkeypatch.setenv("LIENTHONG_ROOT", "x")
    monkeypatch.setenv("LIENTHONG_DATA", "y")
    assert load_settings("justice").username == "justice"


def test_every_missing_setting_is_named_at_once(tell):
    tell(username=None, database_url=None)
    sentence = refusal()
    assert "LIENTHONG_USERNAME: Field required" in sentence
    assert "LIENTHONG_DATABASE_URL: Field required" in sentence
    assert sentence.endswith("`lienthong env justice` prints a usable set.")


def test_no_password_and_no_file_of_one_is_refused(tell):
    tell(password=None)
    assert "set LIENTHONG_PASSWORD_FILE (or LIENTHONG_PASSWORD)" in refusal()


def test_identity_and_secrets_have_no_default():
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert required == {"bootstrap_servers", "username", "database_url"}
    assert Settings.model_fields["password"].default is None


def test_every_setting_says_what_it_is_for():
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []


@pytest.mark.parametrize(
    "servers",
    [
        "bus.hanoi.example:9092",
        "127.0.0.1:9092,10.0.0.7:9092",
        "127.0.0.1.bus.example:9092",
        "127.bus.example:9092",
        "localhost.bus.example:9092",
        "[2001:db8::1]:9092",
        "",
    ],
)
def test_data_is_never_sent_in_the_clear_to_another_machine(tell, servers):
    tell(bootstrap_servers=servers)
    assert "would send data in the clear: use SASL_SSL" in refusal()


@pytest.mark.parametrize("servers", ["localhost:9092", "127.0.0.1:9092, 127.9.9.9:9093", "[::1]:9092"])
def test_a_loopback_broker_may_be_talked_to_in_the_clear(tell, servers):
    tell(bootstrap_servers=servers)
    assert load_settings("justice").bootstrap_servers == servers


def test_a_far_broker_is_talked_to_with_tls_by_default(tell):
    tell(bootstrap_servers="bus.hanoi.example:9092", security_protocol=None)
    assert load_settings("justice").security_protocol == "SASL_SSL"


def test_a_certificate_authority_that_is_not_there_is_refused(tell, tmp_path):
    tell(security_protocol="SASL_SSL", ca_file=str(tmp_path / "ca.pem"))
    assert f"LIENTHONG_CA_FILE is {tmp_path / 'ca.pem'}, where no file is." in refusal()
    (tmp_path / "ca.pem").touch()
    assert load_settings("justice").ca_file == tmp_path / "ca.pem"


def test_a_value_out_of_bounds_is_refused_without_repeating_it(tell):
    tell(batch_records="9999999", log_level=SECRET)
    sentence = refusal()
    assert "LIENTHONG_BATCH_RECORDS: Input should be less than or equal to 5000" in sentence
    assert "LIENTHONG_LOG_LEVEL" in sentence
    assert "9999999" not in sentence


def test_a_service_does_not_run_with_anothers_credentials(tell):
    tell(username="health")
    sentence = refusal()
    assert "This is the service of justice, but LIENTHONG_USERNAME says health." in sentence


def test_a_secret_that_is_not_there_gets_a_sentence(tell, tmp_path):
    tell(password=None, password_file=str(tmp_path / "none"))
    with pytest.raises(SettingsNotUsable, match=r"none cannot be read \(No such file or directory\)\. Let"):
        load_settings("justice").read_password()


@pytest.mark.parametrize(
    ("held", "why"),
    [(b"\xff\xfe\x00", "it is not UTF-8 text"), (b" \n", "it is empty")],
    ids=["bytes", "empty"],
)
def test_a_secret_that_is_none_gets_a_sentence(tell, tmp_path, held, why):
    (tmp_path / "password").write_bytes(held)
    tell(password=None, password_file=str(tmp_path / "password"))
    with pytest.raises(SettingsNotUsable, match=why):
        load_settings("justice").read_password()


def test_a_file_is_believed_before_the_variable(tell, tmp_path):
    (tmp_path / "password").write_text("from-the-file\n")
    tell(password_file=str(tmp_path / "password"))
    assert load_settings("justice").read_password() == "from-the-file"


def test_a_database_password_from_a_file_is_put_into_the_address_whatever_it_holds(tell, tmp_path):
    (tmp_path / "password").write_text("a/b@c:d%?#")
    tell(
        database_url="postgresql://justice@127.0.0.1:5432/justice?sslmode=disable",
        database_password_file=str(tmp_path / "password"),
    )
    assert (
        load_settings("justice").read_database_url()
        == "postgresql://justice:a%2Fb%40c%3Ad%25%3F%23@127.0.0.1:5432/justice?sslmode=disable"
    )


def test_without_a_broker_told_the_embedded_bus_is_used(monkeypatch, data):
    monkeypatch.setenv("LIENTHONG_DATA", str(data))
    monkeypatch.setenv("LIENTHONG_BATCH_RECORDS", "9")
    settings = load_settings("justice")
    assert (settings.bootstrap_servers, settings.username) == ("127.0.0.1:19092", "justice")
    assert settings.batch_records == 9
    assert settings.read_password() == SECRET
    assert settings.read_database_url() == f"postgresql://justice:{SECRET}@127.0.0.1:15432/justice"


def test_a_variable_goes_before_what_the_embedded_bus_says(monkeypatch, data):
    monkeypatch.setenv("LIENTHONG_DATA", str(data))
    monkeypatch.setenv("LIENTHONG_DATABASE_URL", "postgresql://justice@127.0.0.1:1/elsewhere")
    assert load_settings("justice").read_database_url().endswith("@127.0.0.1:1/elsewhere")


def test_the_environment_of_a_department_is_one_that_its_service_takes(monkeypatch, data):
    environment = embedded_environment(data, "justice")
    assert SECRET not in str(environment), "secrets stay in their files"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings("justice").read_password() == SECRET


def test_a_department_that_apply_has_not_made_is_told_so(data):
    with pytest.raises(BusNotUsable, match=r"has no credentials for health\. .*`lienthong apply`\."):
        embedded_environment(data, "health")


@pytest.mark.parametrize("held", [None, b"", b"{"], ids=["absent", "empty", "cut"])
def test_a_folder_without_a_bus_is_told_so(tmp_path, held):
    if held is not None:
        (tmp_path / "bus.json").write_bytes(held)
    with pytest.raises(BusNotUsable, match=r"No bus runs on .*\. Start one with `lienthong up`"):
        load_bus(tmp_path)


def test_the_root_is_the_nearest_folder_above_that_holds_contracts(tmp_path):
    (tmp_path / "contracts").mkdir()
    inner = tmp_path / "services" / "health"
    inner.mkdir(parents=True)
    assert find_root(inner) == tmp_path


def test_the_root_that_is_told_goes_first(tmp_path, monkeypatch):
    (tmp_path / "told" / "contracts").mkdir(parents=True)
    (tmp_path / "contracts").mkdir()
    monkeypatch.setenv("LIENTHONG_ROOT", str(tmp_path / "told"))
    assert find_root(tmp_path) == tmp_path / "told"


def test_a_told_root_without_contracts_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LIENTHONG_ROOT", str(tmp_path))
    with pytest.raises(SettingsNotUsable, match="which holds no contracts folder"):
        find_root()


def test_outside_every_project_the_root_is_not_guessed(tmp_path):
    with pytest.raises(SettingsNotUsable, match=r"Go to the project's folder, or set LIENTHONG_ROOT\."):
        find_root(tmp_path)


def test_the_data_folder_is_what_the_option_then_the_variable_then_the_root_says(tmp_path, monkeypatch):
    (tmp_path / "contracts").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_data() == tmp_path / ".lienthong"
    monkeypatch.setenv("LIENTHONG_DATA", str(tmp_path / "variable"))
    assert find_data() == tmp_path / "variable"
    assert find_data(tmp_path / "option") == tmp_path / "option"
