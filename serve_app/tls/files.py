"""The files that TLS needs, checked before anything is started with them. Nothing of a key is ever in a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cluster.errors import ConfigError
from cluster.progress import console
from nbmf.places import local_path
from serve_app.config import TlsConfig

_EXPIRES_SOON = timedelta(days=14)


def absolute(tls: TlsConfig) -> TlsConfig:
    """The same with absolute paths: HAProxy has another working directory."""
    return TlsConfig(**{name: str(local_path(path).absolute()) for name, path in _paths(tls).items()})


def check_absolute(tls: TlsConfig) -> None:
    """Raises ConfigError if a path could be another file on every node."""
    for name, path in _paths(tls).items():
        if not path.startswith("/"):
            raise ConfigError(f"tls.{name}: {path} is not absolute, and every node of the cluster reads it")


def check_files(tls: TlsConfig, now: datetime | None = None) -> datetime:
    """When the certificate expires. Raises ConfigError if the files are not there, or of no use."""
    certificate = _certificates("certificate_file", tls.certificate_file)[0]
    if _private_key(tls.key_file).public_key() != certificate.public_key():
        raise ConfigError(f"tls.key_file: {tls.key_file} is not the key of the certificate {tls.certificate_file}")
    if tls.client_ca_file is not None:
        _certificates("client_ca_file", tls.client_ca_file)
    now = now or datetime.now(UTC)
    begins: datetime = certificate.not_valid_before_utc
    expires: datetime = certificate.not_valid_after_utc
    if now > expires:
        raise ConfigError(f"tls.certificate_file: {tls.certificate_file} expired on {expires:%Y-%m-%d}")
    if now < begins:
        raise ConfigError(
            f"tls.certificate_file: {tls.certificate_file} is not valid before {begins:%Y-%m-%d %H:%M} UTC"
        )
    return expires


def warn_if_expiring(tls: TlsConfig, expires: datetime, now: datetime | None = None) -> None:
    """Tells, on standard error, that the certificate is valid for a few days only."""
    if expires - (now or datetime.now(UTC)) < _EXPIRES_SOON:
        console.print(
            f"nbmf: warning: the certificate {tls.certificate_file} expires on {expires:%Y-%m-%d}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _paths(tls: TlsConfig) -> dict[str, str]:
    return tls.model_dump(exclude_none=True)


def _read(name: str, path: str) -> bytes:
    try:
        return local_path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"tls.{name}: {path}: {error.strerror or error}") from error


def _certificates(name: str, path: str) -> list[Any]:
    from cryptography import x509

    content = _read(name, path)
    try:
        return list(x509.load_pem_x509_certificates(content))
    except ValueError:
        raise ConfigError(f"tls.{name}: {path} has no certificate in PEM") from None


def _private_key(path: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read("key_file", path)
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:
        raise ConfigError(
            f"tls.key_file: {path} is encrypted; decrypt it (`openssl pkey -in FILE -out PLAIN`), and let only the "
            "service's user read it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"tls.key_file: {path} has no private key in PEM") from None
