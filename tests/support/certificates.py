"""Certificates as tests need them: an authority's, and those that it issues."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority. Files go to its folder."""

    def __init__(self, folder, name="ca"):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(self._name, self._key, DAY * 30, x509.BasicConstraints(ca=True, path_length=None))
        self.file = self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name, valid=DAY * 30, password=None):
        """Paths of a certificate for localhost, which is valid for so long, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key, valid, x509.SubjectAlternativeName(names))
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        return (
            self._write(f"{name}.pem", certificate.public_bytes(pem)),
            self._write(f"{name}-key.pem", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption)),
        )

    def _signed(self, subject, key, valid, extension):
        now = datetime.datetime.now(datetime.UTC)
        own, authority = key.public_key(), self._key.public_key()
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(own)
        builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=False)
        builder = builder.not_valid_before(now - DAY * 60).not_valid_after(now + valid)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority)
        return builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())

    def _write(self, name, content):
        path = self._folder / name
        path.write_bytes(content)
        return path
