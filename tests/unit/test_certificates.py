"""Clients believe a server that the authority signed, under its own names, while it lasts; nobody else."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from lienthong.cluster.certificates import DUE, SERVER_LASTS, Authority, is_due, sign_server
from lienthong.errors import SettingsNotUsable

NOW = datetime.now(UTC)
NAMES = ["kafka-1", "localhost"]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new(NOW)


@pytest.fixture
def shake_hands(tmp_path):
    """Let a client and a server meet in memory; gives the TLS version, or raises what the client says."""

    def meet(believed: Authority, pem: str, name: str) -> str | None:
        server_file = tmp_path / "server.pem"
        server_file.write_text(pem)
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(server_file)
        asking = ssl.create_default_context(cadata=believed.certificate_pem())
        asking.verify_flags |= ssl.VERIFY_X509_STRICT
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = asking.wrap_bio(back, there, server_hostname=name)
        server = serving.wrap_bio(there, back, server_side=True)
        for side in (client, server) * 3:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        return client.version()

    return meet


@pytest.mark.parametrize("name", NAMES)
def test_a_server_is_believed_under_each_of_its_names(authority, shake_hands, name):
    assert shake_hands(authority, "".join(sign_server(authority, NAMES, NOW)), name) == "TLSv1.3"


@pytest.mark.parametrize("name", ["kafka-2", "127.0.0.1", "kafka-1.example", "xkafka-1"])
def test_a_server_is_not_believed_under_another_name(authority, shake_hands, name):
    with pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname mismatch|IP address mismatch"):
        shake_hands(authority, "".join(sign_server(authority, NAMES, NOW)), name)


def test_a_server_of_another_authority_is_not_believed(authority, shake_hands):
    other = Authority.new(NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(authority, "".join(sign_server(other, NAMES, NOW)), "kafka-1")


def test_a_server_whose_certificate_has_ended_is_not_believed(authority, shake_hands):
    then = NOW - SERVER_LASTS - timedelta(hours=1)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(authority, "".join(sign_server(authority, NAMES, then)), "kafka-1")


def test_a_server_cannot_sign_for_another(authority, shake_hands):
    key, certificate = sign_server(authority, ["kafka-1"], NOW)
    upstart = Authority.load(key + certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(authority, "".join(sign_server(upstart, ["kafka-2"], NOW)) + certificate, "kafka-2")


def test_the_authority_comes_back_from_its_file(authority):
    again = Authority.load(authority.pem())
    assert again.certificate == authority.certificate
    _, certificate = sign_server(again, NAMES, NOW)
    assert not is_due(certificate, authority, NAMES, NOW)


def test_what_clients_are_given_holds_no_key(authority):
    assert "PRIVATE KEY" in authority.pem()
    assert "PRIVATE KEY" not in authority.certificate_pem()
    assert "key" not in repr(authority)


@pytest.mark.parametrize(
    "held", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_authority_gets_a_sentence(held):
    with pytest.raises(SettingsNotUsable, match=r"damaged\. Restore it"):
        Authority.load(held)


def test_an_authority_whose_certificate_is_gone_is_damaged(authority):
    key = authority.pem().partition("-----BEGIN CERTIFICATE-----")[0]
    with pytest.raises(SettingsNotUsable, match="damaged"):
        Authority.load(key)


def test_a_certificate_is_due_when_its_end_is_near(authority):
    _, certificate = sign_server(authority, NAMES, NOW)
    last_look = NOW + SERVER_LASTS - DUE - timedelta(minutes=1)
    assert not is_due(certificate, authority, NAMES, last_look)
    assert is_due(certificate, authority, NAMES, last_look + timedelta(minutes=2))


def test_a_certificate_is_due_for_other_names_and_another_authority(authority):
    _, certificate = sign_server(authority, NAMES, NOW)
    assert is_due(certificate, authority, ["kafka-1"], NOW)
    assert is_due(certificate, Authority.new(NOW), NAMES, NOW)
    assert is_due("", authority, NAMES, NOW)
    assert is_due(authority.certificate_pem(), authority, NAMES, NOW)
