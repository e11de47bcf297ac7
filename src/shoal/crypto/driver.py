"""Identities on disk and from the system's randomness, the way OpenDHT's tools keep them.

NAME.pem   private key, PKCS #8, encrypted if there is a password; readable by the owner alone
NAME.crt   certificate chain, leaf first
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Final

from shoal.core.driver import SystemEntropy
from shoal.crypto.errors import IdentityFileError
from shoal.crypto.identity import Identity, generate_identity, generate_node_identity
from shoal.crypto.keys import RSA_BITS_DEFAULT

FILE_SIZE_MAX: Final = 262_144  # ours: a key of 8,192 bits and a long chain are a tenth of it
_MODE_KEY: Final = 0o600
_MODE_CERTIFICATE: Final = 0o644


def new_identity(name: str, ca: Identity | None = None, bits: int = RSA_BITS_DEFAULT) -> Identity:
    """Make what `generate_identity` does, now and from the system's randomness."""
    return generate_identity(name, ca, bits, entropy=SystemEntropy(), wall_now=time.time())


def new_node_identity(name: str = "DHT Node", bits: int = RSA_BITS_DEFAULT) -> Identity:
    """Make what `generate_node_identity` does, now and from the system's randomness."""
    return generate_node_identity(name, entropy=SystemEntropy(), wall_now=time.time(), bits=bits)


def save_identity(identity: Identity, path: Path | str, password: str | None = None) -> None:
    """Write *path*.pem and *path*.crt, each at once or not at all.

    Raises:
        IdentityFileError: a file cannot be written.

    Source: OpenDHT crypto.cpp, saveIdentity.
    """
    key_path, certificate_path = identity_paths(path)
    _write(key_path, identity.private_key.export(password), _MODE_KEY)
    _write(certificate_path, identity.certificate.to_pem(), _MODE_CERTIFICATE)


def load_identity(
    path: Path | str, password: str | None = None, *, certificate: Path | str | None = None
) -> Identity:
    """Read an identity.

    *path* is the common part NAME of NAME.pem and NAME.crt, one of these two files, or a PEM file
    that holds key and certificates; with *certificate*, a key file of any name.

    Raises:
        IdentityFileError: a file cannot be read.
        CryptoError: what it holds is no identity, or the *password* is missing or wrong.
    """
    if certificate is not None:
        return Identity.parse(_read(Path(path)), _read(Path(certificate)), password)
    key_path, certificate_path = identity_paths(path)
    if certificate_path.exists():
        return Identity.parse(_read(key_path), _read(certificate_path), password)
    return Identity.parse(_read(Path(path)), None, password)


def identity_paths(path: Path | str) -> tuple[Path, Path]:
    """Return where key and certificate of the identity *path* are: NAME.pem and NAME.crt."""
    path = Path(path)
    base = path.with_suffix("") if path.suffix in (".pem", ".crt") else path
    return base.with_name(base.name + ".pem"), base.with_name(base.name + ".crt")


def _read(path: Path) -> bytes:
    """Return the content of *path*."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_SIZE_MAX + 1)
    except OSError as error:
        raise IdentityFileError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > FILE_SIZE_MAX:
        raise IdentityFileError(f"{path} is larger than {FILE_SIZE_MAX} bytes")
    return data


def _write(path: Path, text: str, mode: int) -> None:
    """Put *text* at *path*: whole, or what was there before stays."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise IdentityFileError(f"cannot write {path}: {error.strerror}") from error
