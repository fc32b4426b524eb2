"""The local certificate authority: the house's own TLS, and the STS detour.

    keys/ca.key, tls.key   0600, EC P-256; made once
    keys/ca.pem, tls.pem   certificates
    keys/bundle.pem        0644, the system's roots and our CA: `AWS_CA_BUNDLE` replaces the default
                           roots, and a shell that uses the detour must still reach the world

The CA is good for ten years, a leaf for 397 days (the longest that clients take); a leaf near its
end is issued again for the same key, so that a reader never meets a key and a certificate that do
not belong together. Certificates satisfy `ssl.VERIFY_X509_STRICT`.
"""

import ipaddress
import ssl
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modeltap.auth import files
from modeltap.errors import KeysRefused

CA_KEY, CA_CERTIFICATE, BUNDLE = "ca.key", "ca.pem", "bundle.pem"
TLS_KEY, TLS_CERTIFICATE = "tls.key", "tls.pem"

CA_DAYS = 3650
LEAF_DAYS = 397
RENEWAL_DAYS = 30

_BACKDATED = timedelta(days=1)  # a client's clock may be behind ours
_PUBLIC = 0o644


def detour_names(region: str) -> list[str]:
    """Name the hosts whose TLS the detour ends itself (`spec`: clients §0, remedy A)."""
    return [
        "*.amazonaws.com",
        f"*.{region}.amazonaws.com",
        "*.s3.amazonaws.com",
        f"*.s3.{region}.amazonaws.com",
        f"*.sagemaker.{region}.amazonaws.com",
    ]


class Authority:
    """A CA whose key is in one folder; only the store process holds one."""

    def __init__(
        self, folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        self._folder = folder
        self._key = key
        self._certificate = certificate

    @classmethod
    def open(cls, folder: Path, *, now: datetime) -> "Authority":
        """Open the CA of a folder, and make it at the first start.

        Raise `KeysRefused` where others may read its key, or where key and certificate differ.
        """
        files.private_folder(folder)
        key = _key(folder / CA_KEY)
        fresh = _pem(_self_signed(key, now))
        stored = files.publish_once(folder / CA_CERTIFICATE, fresh, mode=_PUBLIC)
        certificate = x509.load_pem_x509_certificate(stored)
        if certificate.public_key() != key.public_key():
            raise KeysRefused(f"{folder / CA_CERTIFICATE} does not belong to {CA_KEY}")
        return cls(folder, key, certificate)

    def leaf(self, names: list[str], *, now: datetime) -> tuple[bytes, bytes]:
        """Issue a server certificate for host names and addresses: certificate and key in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _pem(self._issued(names, key.public_key(), now)), _key_pem(key)

    def tls_files(self, host: str, *, now: datetime) -> tuple[Path, Path]:
        """Give certificate and key for `localhost`, both loopback addresses and `host`.

        A certificate that is missing, near its end or for other names is issued (again).
        """
        names = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", host]))
        path = self._folder / TLS_CERTIFICATE
        key = _key(self._folder / TLS_KEY)
        if not (path.exists() and self._is_good(path, names, key, now)):
            files.replace(path, _pem(self._issued(names, key.public_key(), now)), _PUBLIC)
        return path, self._folder / TLS_KEY

    def bundle(self) -> Path:
        """Write the file for `AWS_CA_BUNDLE` and give its path."""
        path = self._folder / BUNDLE
        files.replace(path, _system_roots() + b"\n" + _pem(self._certificate), _PUBLIC)
        return path

    def _is_good(
        self, path: Path, names: list[str], key: ec.EllipticCurvePrivateKey, now: datetime
    ) -> bool:
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
        covered = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return (
            self._has_issued(leaf)
            and leaf.public_key() == key.public_key()
            and list(covered) == _alternatives(names)
            and leaf.not_valid_after_utc - now > timedelta(days=RENEWAL_DAYS)
        )

    def _has_issued(self, leaf: x509.Certificate) -> bool:
        """Tell by the signature: the CA of a folder whose files were removed has the same name."""
        try:
            leaf.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def _issued(
        self, names: list[str], key: ec.EllipticCurvePublicKey, now: datetime
    ) -> x509.Certificate:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        subject_key = x509.SubjectKeyIdentifier.from_public_key(key)
        return (
            _dated(x509.CertificateBuilder(), now, LEAF_DAYS)
            .subject_name(_name("modeltap"))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(subject_key, critical=False)
            .add_extension(_authority_key(self._key), critical=False)
            .sign(self._key, hashes.SHA256())
        )


# ---------------------------------------------------------------- keys and certificates


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key, and make it where there is none."""
    stored = files.publish_once(path, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    key = serialization.load_pem_private_key(stored, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeysRefused(f"{path} is not the key that modeltap made")
    return key


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name("modeltap local CA")
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _dated(x509.CertificateBuilder(), now, CA_DAYS)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(subject_key, critical=False)
        .add_extension(_authority_key(key), critical=False)
        .sign(key, hashes.SHA256())
    )


def _dated(builder: x509.CertificateBuilder, now: datetime, days: int) -> x509.CertificateBuilder:
    start = now - _BACKDATED
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
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


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    return [_alternative(name) for name in names]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _system_roots() -> bytes:
    """Give the roots of the system, or those that botocore carries where there is no such file."""
    system = ssl.get_default_verify_paths().cafile
    if system and (found := Path(system).read_bytes()):
        return found
    return resources.files("botocore").joinpath("cacert.pem").read_bytes()
