"""Over real connections: what a caller sees and whose word is taken, also when either changes meanwhile."""

import asyncio
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hca_operator.metrics_server.serving.certificate import CertificateStep, Credentials, take_step
from hca_operator.metrics_server.serving.tls import ServingTls

HOST = "localhost"
NOW = datetime.now(UTC)  # noqa: TID251 - OpenSSL has no other clock


class Authority:
    """Signs certificates of clients, and is as bare as some distributions make theirs: no key usage, no identifiers."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        bare = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._sign(self._name, self._key, bare).public_bytes(Encoding.PEM)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def client(self, name: str) -> bytes:
        """A certificate and its key in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, x509.BasicConstraints(ca=False, path_length=None))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM) + private


class Served:
    """A server that tells each caller who it takes it for."""

    def __init__(self, tls: ServingTls, folder: Path) -> None:
        self._tls = tls
        self._folder = folder
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            certificate = self._tls.peer(writer.get_extra_info("ssl_object"))
            subject = certificate["subject"] if certificate else ((("commonName", "anonymous"),),)
            writer.write(f"{subject[0][0][1]}\n".encode())
            await writer.drain()
        writer.close()

    @asynccontextmanager
    async def connected(
        self, trusted: Credentials, client: bytes | None = None, *, sni: bool = True
    ) -> AsyncIterator["Line"]:
        context = ssl.create_default_context(cadata=trusted.bundle.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.check_hostname = sni
        if client:
            pair = self._folder / "pair.pem"
            pair.write_bytes(client)
            context.load_cert_chain(pair)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=HOST if sni else ""
        )
        try:
            yield Line(reader, writer)
        finally:
            writer.close()

    async def taken_for(self, trusted: Credentials, client: bytes) -> str | None:
        """The name of a caller, None where it is turned away."""
        try:
            async with self.connected(trusted, client) as line:
                return await line.whoami() or None
        except (ssl.SSLError, ConnectionError):
            return None


class Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def whoami(self) -> str:
        self._writer.write(b"?\n")
        return (await self._reader.readline()).decode().strip()


@pytest.fixture
def tls() -> ServingTls:
    return ServingTls()


@pytest.fixture
def credentials() -> Credentials:
    return take_step(CertificateStep.BEGIN, None, [HOST], NOW)


@pytest.fixture
async def server(tls: ServingTls, credentials: Credentials, tmp_path: Path) -> AsyncIterator[Served]:
    tls.serve(credentials.certificate, credentials.key)
    served = Served(tls, tmp_path)
    async with await asyncio.start_server(served.answer, "127.0.0.1", 0, ssl=tls.context) as listening:
        served.port = listening.sockets[0].getsockname()[1]
        yield served


async def test_a_caller_with_a_certificate_of_the_authority_is_known(
    tls: ServingTls, server: Served, credentials: Credentials
) -> None:
    front = Authority("front")
    tls.trust(front.certificate.decode())
    assert await server.taken_for(credentials, front.client("front-proxy-client")) == "front-proxy-client"


async def test_a_connection_takes_little_memory_whatever_its_client(server: Served, credentials: Credentials) -> None:
    async with AsyncExitStack() as lines:
        await lines.enter_async_context(server.connected(credentials))  # what is the same for all of them
        tracemalloc.start()
        try:
            for _ in range(8):
                await lines.enter_async_context(server.connected(credentials))
            each = tracemalloc.get_traced_memory()[0] / 8
        finally:
            tracemalloc.stop()
    assert each < 2**17, "both ends, which Python would give a quarter of a megabyte each"


@pytest.mark.parametrize("sni", [True, False])
async def test_a_caller_without_a_certificate_is_let_in_without_a_user(
    tls: ServingTls, server: Served, credentials: Credentials, *, sni: bool
) -> None:
    tls.trust(Authority("front").certificate.decode())
    async with server.connected(credentials, sni=sni) as line:
        assert await line.whoami() == "anonymous"


async def test_a_certificate_of_another_authority_is_turned_away(
    tls: ServingTls, server: Served, credentials: Credentials
) -> None:
    tls.trust(Authority("front").certificate.decode())
    assert await server.taken_for(credentials, Authority("front").client("front-proxy-client")) is None


async def test_before_an_authority_is_known_no_certificate_proves_anything(
    server: Served, credentials: Credentials
) -> None:
    assert await server.taken_for(credentials, Authority("front").client("front-proxy-client")) is None


async def test_another_authority_ends_the_word_of_those_who_came_with_the_one_before(
    tls: ServingTls, server: Served, credentials: Credentials
) -> None:
    before, after = Authority("before"), Authority("after")
    tls.trust(before.certificate.decode())
    async with server.connected(credentials, before.client("early")) as early:
        assert await early.whoami() == "early"
        tls.trust(after.certificate.decode())
        assert await early.whoami() == "anonymous"
    assert await server.taken_for(credentials, after.client("late")) == "late"
    assert await server.taken_for(credentials, before.client("early")) is None


async def test_another_certificate_is_shown_to_new_callers_and_open_connections_go_on(
    tls: ServingTls, server: Served, credentials: Credentials
) -> None:
    front = Authority("front")
    tls.trust(front.certificate.decode())
    other = take_step(CertificateStep.BEGIN, None, [HOST], NOW)
    async with server.connected(credentials, front.client("early")) as early:
        assert await early.whoami() == "early"
        tls.serve(other.certificate, other.key)
        assert await early.whoami() == "early"
        assert await server.taken_for(other, front.client("late")) == "late"
        with pytest.raises(ssl.SSLCertVerificationError):
            async with server.connected(credentials):
                pass
