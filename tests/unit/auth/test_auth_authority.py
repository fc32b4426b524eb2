"""The local CA, by handshakes with real clients."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.httpsession import create_urllib3_context
from cryptography import x509

from modeltap.auth.authority import LEAF_DAYS, RENEWAL_DAYS, Authority, detour_names
from modeltap.errors import KeysRefused

NOW = datetime.now(UTC)  # OpenSSL compares with the machine's own clock


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "keys"


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority.open(folder, now=NOW)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """Join both ends in memory until they agree; a refusal raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() in ("TLSv1.2", "TLSv1.3")


def server_of(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def strict_client(bundle: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(bundle))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def detour(authority: Authority, folder: Path, region: str) -> ssl.SSLContext:
    certificate, key = authority.leaf(detour_names(region), now=NOW)
    (folder / "detour.pem").write_bytes(certificate + key)
    return server_of(folder / "detour.pem", folder / "detour.pem")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "10.0.0.7"])
def test_a_strict_client_takes_our_own_names(authority: Authority, folder: Path, host: str) -> None:
    server = server_of(*authority.tls_files("10.0.0.7", now=NOW))
    handshake(strict_client(authority.bundle()), server, host)


@pytest.mark.parametrize(
    "host",
    [
        "sts.eu-west-1.amazonaws.com",
        "iam.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "bucket.s3.amazonaws.com",
        "bucket.s3.eu-west-1.amazonaws.com",
        "api.sagemaker.eu-west-1.amazonaws.com",
        "runtime.sagemaker.eu-west-1.amazonaws.com",
    ],
)
def test_the_detour_has_the_names_of_aws(authority: Authority, folder: Path, host: str) -> None:
    handshake(strict_client(authority.bundle()), detour(authority, folder, "eu-west-1"), host)


def test_botocores_own_context_takes_it(authority: Authority, folder: Path) -> None:
    context = create_urllib3_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.load_verify_locations(str(authority.bundle()))
    handshake(context, detour(authority, folder, "us-east-1"), "sts.us-east-1.amazonaws.com")


@pytest.mark.parametrize("host", ["example.com", "amazonaws.com.example.com", "a.b.amazonaws.com"])
def test_the_detour_is_nobody_else(authority: Authority, folder: Path, host: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(strict_client(authority.bundle()), detour(authority, folder, "us-east-1"), host)


def test_the_system_does_not_trust_us(authority: Authority, folder: Path) -> None:
    server = server_of(*authority.tls_files("localhost", now=NOW))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ssl.create_default_context(), server, "localhost")


def test_the_bundle_still_trusts_the_world(authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.bundle()))
    names = {str(root["subject"]) for root in context.get_ca_certs()}
    assert any("modeltap local CA" in name for name in names)
    assert any("Amazon Root CA 1" in name for name in names)


# ---------------------------------------------------------------- certificates and files


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_ca_is_a_real_one(authority: Authority, folder: Path) -> None:
    extensions = certificate(folder / "ca.pem").extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_keys_are_the_owners_alone(authority: Authority, folder: Path) -> None:
    authority.tls_files("localhost", now=NOW)
    for name in ("ca.key", "tls.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    (folder / "ca.key").chmod(0o640)
    with pytest.raises(KeysRefused, match="chmod go="):
        Authority.open(folder, now=NOW)
    (folder / "ca.key").chmod(0o600)


def test_opening_again_is_the_same_ca(authority: Authority, folder: Path) -> None:
    before = (folder / "ca.pem").read_bytes()
    Authority.open(folder, now=NOW + timedelta(days=1))
    assert (folder / "ca.pem").read_bytes() == before


def test_a_ca_of_another_key_is_refused(tmp_path: Path) -> None:
    Authority.open(tmp_path / "a", now=NOW)
    Authority.open(tmp_path / "b", now=NOW)
    (tmp_path / "a" / "ca.key").replace(tmp_path / "b" / "ca.key")
    with pytest.raises(KeysRefused, match="does not belong"):
        Authority.open(tmp_path / "b", now=NOW)


def test_a_leaf_lasts_no_longer_than_clients_take(authority: Authority) -> None:
    leaf = certificate(authority.tls_files("localhost", now=NOW)[0])
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=LEAF_DAYS)
    assert leaf.not_valid_before_utc < NOW


def test_a_leaf_of_a_ca_that_was_removed_is_issued_again(tmp_path: Path) -> None:
    path, _ = Authority.open(tmp_path, now=NOW).tls_files("localhost", now=NOW)
    for name in ("ca.key", "ca.pem"):
        (tmp_path / name).unlink()
    Authority.open(tmp_path, now=NOW).tls_files("localhost", now=NOW)
    certificate(path).verify_directly_issued_by(certificate(tmp_path / "ca.pem"))


def test_a_leaf_is_issued_again_when_it_must_be(authority: Authority) -> None:
    path, key = authority.tls_files("localhost", now=NOW)
    first, first_key = path.read_bytes(), key.read_bytes()
    later = NOW + timedelta(days=LEAF_DAYS - RENEWAL_DAYS - 3)
    authority.tls_files("localhost", now=later)
    assert path.read_bytes() == first
    authority.tls_files("localhost", now=later + timedelta(days=3))
    second = path.read_bytes()
    assert second != first
    authority.tls_files("10.0.0.8", now=later + timedelta(days=3))
    assert path.read_bytes() != second
    assert key.read_bytes() == first_key
