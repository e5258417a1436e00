import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hca_operator.metrics_server.serving.certificate import (
    AUTHORITY_RENEWAL,
    AUTHORITY_VALIDITY,
    RENEWAL,
    VALIDITY,
    CertificateStep,
    Credentials,
    due,
    take_step,
)

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTS = ["hca-operator-metrics.hca-system.svc", "hca-operator-metrics.hca-system.svc.cluster.local"]
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def first() -> Credentials:
    return take_step(CertificateStep.BEGIN, None, HOSTS, START)


def test_at_first_everything_is_made_and_then_nothing_is_to_do(first: Credentials) -> None:
    assert due(None, HOSTS, START) is CertificateStep.BEGIN
    for now in (START, START + VALIDITY - RENEWAL - MINUTE):
        assert due(first, HOSTS, now) is CertificateStep.NOTHING
    assert first.served().not_valid_before_utc < START, "clocks differ"
    assert Credentials.parse(first.data()) == first


def test_a_certificate_is_renewed_before_its_end_and_the_authority_stays(first: Credentials) -> None:
    now = START + VALIDITY - RENEWAL + MINUTE
    assert due(first, HOSTS, now) is CertificateStep.CERTIFICATE
    renewed = take_step(CertificateStep.CERTIFICATE, first, HOSTS, now)
    assert (renewed.bundle, renewed.authority_key) == (first.bundle, first.authority_key)
    assert renewed.key != first.key
    assert due(renewed, HOSTS, now) is CertificateStep.NOTHING
    assert renewed.served().not_valid_after_utc == now + VALIDITY


def test_a_new_authority_is_trusted_long_before_it_signs(first: Credentials) -> None:
    now = START + AUTHORITY_VALIDITY - AUTHORITY_RENEWAL + MINUTE
    fresh = take_step(CertificateStep.CERTIFICATE, first, HOSTS, now)
    assert due(fresh, HOSTS, now) is CertificateStep.AUTHORITY
    both = take_step(CertificateStep.AUTHORITY, fresh, HOSTS, now)
    assert (both.certificate, both.key) == (fresh.certificate, fresh.key)
    assert both.authorities()[1:] == first.authorities()
    assert due(both, HOSTS, now) is CertificateStep.NOTHING, (
        "the certificate is still one of an authority that is trusted"
    )
    later = now + VALIDITY - RENEWAL + MINUTE
    assert due(both, HOSTS, later) is CertificateStep.CERTIFICATE
    renewed = take_step(CertificateStep.CERTIFICATE, both, HOSTS, later)
    renewed.served().verify_directly_issued_by(both.authorities()[0])
    assert due(renewed, HOSTS, later) is CertificateStep.NOTHING


def test_where_both_are_due_the_certificate_comes_first_for_the_new_authority_is_not_trusted_yet(
    first: Credentials,
) -> None:
    now = START + AUTHORITY_VALIDITY - AUTHORITY_RENEWAL + MINUTE
    assert due(first, HOSTS, now) is CertificateStep.CERTIFICATE


def test_no_certificate_outlives_its_authority(first: Credentials) -> None:
    now = START + AUTHORITY_VALIDITY - VALIDITY + MINUTE
    assert due(first, HOSTS, now) is CertificateStep.AUTHORITY


@pytest.mark.parametrize("years", [1, 12], ids=["the certificate has ended", "all has ended"])
def test_after_a_long_sleep_all_is_well_after_a_few_steps(first: Credentials, years: int) -> None:
    now = START + timedelta(days=365 * years)
    kept = first
    for _ in range(3):
        step = due(kept, HOSTS, now)
        if step is CertificateStep.NOTHING:
            break
        kept = take_step(step, kept, HOSTS, now)
    assert due(kept, HOSTS, now) is CertificateStep.NOTHING
    assert kept.served().not_valid_after_utc > now
    assert all(authority.not_valid_after_utc > now for authority in kept.authorities())


def test_another_name_or_another_key_needs_another_certificate(first: Credentials) -> None:
    other = take_step(CertificateStep.CERTIFICATE, first, HOSTS, START)
    assert due(first, ["renamed.hca-system.svc"], START) is CertificateStep.CERTIFICATE
    assert due(replace(first, key=other.key), HOSTS, START) is CertificateStep.CERTIFICATE
    stranger = take_step(CertificateStep.BEGIN, None, HOSTS, START)
    assert (
        due(replace(first, certificate=stranger.certificate, key=stranger.key), HOSTS, START)
        is CertificateStep.CERTIFICATE
    )
    assert due(replace(first, authority_key=stranger.authority_key), HOSTS, START) is CertificateStep.BEGIN


def encoded(part: bytes) -> str:
    return base64.b64encode(part).decode()


def a_key_of_another_kind() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_what_cannot_be_read_counts_as_nothing(first: Credentials, name: str) -> None:
    data = first.data()
    for broken in ("", "no base64!", encoded(b"no PEM"), encoded(a_key_of_another_kind())):
        assert Credentials.parse({**data, name: broken}) is None
    assert Credentials.parse({key: value for key, value in data.items() if key != name}) is None
