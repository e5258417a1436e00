"""Creates the serving certificate and the authority (CA) that signs it, and decides when they are renewed.

kube-apiserver trusts the authority (`caBundle` of the APIService), so a new certificate of the same authority changes
nothing there. A new authority is published first, and signs the next certificate weeks later. So kube-apiserver always
trusts the certificate that is served.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_VALIDITY = timedelta(days=3650)
AUTHORITY_RENEWAL = timedelta(days=365)
"""Time before its expiry: longer than a certificate is valid, so that none outlives its authority."""
VALIDITY = timedelta(days=90)
RENEWAL = timedelta(days=30)
"""Time before the expiry of the certificate."""
CLOCK_SKEW = timedelta(hours=1)
"""Most by which clocks in the cluster may differ."""


class CertificateStep(Enum):
    """The next step of a renewal."""

    NOTHING = auto()
    BEGIN = auto()
    """Create an authority and a certificate, because there are none or they are not valid."""
    CERTIFICATE = auto()
    """Create another certificate of the same authority."""
    AUTHORITY = auto()
    """Create another authority beside the present one, whose certificate stays for now."""


@dataclass(frozen=True)
class Credentials:
    """Certificates and keys in PEM."""

    bundle: bytes
    """Certificates of the authorities that callers trust: the present one, then earlier ones."""
    authority_key: bytes
    certificate: bytes
    key: bytes

    @classmethod
    def parse(cls, data: Mapping[str, str]) -> Self | None:
        """Parse the data of a Secret; None if a part is missing or malformed."""
        try:
            found = cls(*(base64.b64decode(data[name], validate=True) for name in _KEYS))
            found.authorities()
            found.served()
            for key in (found.authority_key, found.key):
                _private_key(key)
        except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
            return None
        return found

    def data(self) -> dict[str, str]:
        """As the data of a Secret."""
        parts = (self.bundle, self.authority_key, self.certificate, self.key)
        return {name: base64.b64encode(part).decode() for name, part in zip(_KEYS, parts, strict=True)}

    def authorities(self) -> list[x509.Certificate]:
        """The certificates of the authorities, the present one first."""
        return x509.load_pem_x509_certificates(self.bundle)

    def served(self) -> x509.Certificate:
        """The serving certificate."""
        return x509.load_pem_x509_certificate(self.certificate)


_KEYS = ("ca.crt", "ca.key", "tls.crt", "tls.key")


def due(kept: Credentials | None, names: Sequence[str], now: datetime) -> CertificateStep:
    """The step that is due at `now`. `names`: DNS names of the server."""
    if kept is None or not _belongs(kept.authorities()[0], kept.authority_key):
        return CertificateStep.BEGIN
    authority_ends = kept.authorities()[0].not_valid_after_utc
    if authority_ends < now + VALIDITY:
        return CertificateStep.AUTHORITY
    if not _fits(kept, names) or kept.served().not_valid_after_utc < now + RENEWAL:
        return CertificateStep.CERTIFICATE
    if authority_ends < now + AUTHORITY_RENEWAL:
        return CertificateStep.AUTHORITY
    return CertificateStep.NOTHING


def take_step(step: CertificateStep, kept: Credentials | None, names: Sequence[str], now: datetime) -> Credentials:
    """The credentials after a step other than NOTHING."""
    if kept is None or step is CertificateStep.BEGIN:
        key = ec.generate_private_key(ec.SECP256R1())
        return _signed(Credentials(_pem(_authority(key, now)), _private(key), b"", b""), names, now)
    if step is CertificateStep.CERTIFICATE:
        return _signed(kept, names, now)
    key = ec.generate_private_key(ec.SECP256R1())
    earlier = [authority for authority in kept.authorities() if authority.not_valid_after_utc > now]
    return replace(kept, bundle=b"".join(map(_pem, [_authority(key, now), *earlier])), authority_key=_private(key))


def _fits(kept: Credentials, names: Sequence[str]) -> bool:
    served = kept.served()
    return (
        _names(served) == list(names)
        and _belongs(served, kept.key)
        and any(_has_signed(authority, served) for authority in kept.authorities())
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _has_signed(authority: x509.Certificate, served: x509.Certificate) -> bool:
    try:
        served.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _belongs(certificate: x509.Certificate, key: bytes) -> bool:
    own = _private_key(key).public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == own.public_bytes(*form)


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name("hca-operator metrics authority")
    public = key.public_key()
    return (
        _builder(name, name, public, now, AUTHORITY_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _signed(kept: Credentials, names: Sequence[str], now: datetime) -> Credentials:
    """With another certificate of the present authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = kept.authorities()[0]
    signer = _private_key(kept.authority_key)
    certificate = (
        _builder(_name("hca-operator metrics"), authority.subject, key.public_key(), now, VALIDITY)
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # Required by RFC 5280, by OpenSSL's strict mode and so by Python from 3.13 on.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return replace(kept, certificate=_pem(certificate), key=_private(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, validity: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + validity)
    )


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


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private_key(text: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(text, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("none of ours")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
