"""A certificate authority of one's own, and the servers' certificates it signs (beneath hops 1, 4 and 5)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lienthong.errors import SettingsNotUsable

AUTHORITY_LASTS: Final = timedelta(days=3650)
SERVER_LASTS: Final = timedelta(days=397)
DUE: Final = timedelta(days=90)
"""A certificate that ends within so long is made anew: containers are started often enough for that."""

SKEW: Final = timedelta(minutes=5)
"""Clocks differ: a certificate counts from a little before it was made."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom every client of the cluster believes about who a server is."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def new(cls, now: datetime) -> Self:
        """Make an authority that may sign servers' certificates, and no further authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _named("Liên Thông")
        unsigned = (
            _begun(name, name, key.public_key(), now, AUTHORITY_LASTS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(key, unsigned.sign(key, hashes.SHA256()))

    @classmethod
    def load(cls, pem: str) -> Self:
        """Read what `pem` wrote.

        Raises:
            SettingsNotUsable: it is no authority of ours.
        """
        try:
            key = serialization.load_pem_private_key(pem.encode(), password=None)
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsNotUsable(
                reason="The certificate authority cannot be read: its file is damaged.",
                remedy="Restore it; or remove it, let another be made, and restart every server and client.",
            )
        return cls(key, certificate)

    def pem(self) -> str:
        """Write key and certificate: for the authority's own, closed folder."""
        return _key_pem(self.key) + self.certificate_pem()

    def certificate_pem(self) -> str:
        """Write what clients are given."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def sign_server(authority: Authority, names: Sequence[str], now: datetime) -> tuple[str, str]:
    """Make a key and a certificate for a server that is reached under these host names.

    Returns:
        The key and the certificate, each as PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.SubjectKeyIdentifier.from_public_key(authority.key.public_key())
    unsigned = (
        _begun(_named(names[0]), authority.certificate.subject, key.public_key(), now, SERVER_LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
    certificate = unsigned.sign(authority.key, hashes.SHA256())
    return _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM).decode()


def is_due(pem: str, authority: Authority, names: Sequence[str], now: datetime) -> bool:
    """Tell whether a server's certificate must be made anew: near its end, of another authority or name."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        certificate.verify_directly_issued_by(authority.certificate)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return True
    return certificate.not_valid_after_utc < now + DUE or found.get_values_for_type(x509.DNSName) != list(
        names
    )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lasts)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
