"""The key pair of the model bundles: training signs, serving needs only the public half."""

import os
import stat
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from data.crash_points import crash_at

PRIVATE, PUBLIC = "bundle.key", "bundle.pub"


def signing_key(home: Path) -> Ed25519PrivateKey:
    """The private key under `home`/keys, made at first use; only its owner can read the file.

    Raises ValueError where others can read it, or where it is not an Ed25519 key.
    """
    folder = home / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / PRIVATE
    if not path.exists():
        _create(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ValueError(f"Others can read the signing key {path}: chmod 600 it, or delete it to have a new one made.")
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"Expected an Ed25519 key in {path}, got {type(key).__name__}.")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not (folder / PUBLIC).exists() or (folder / PUBLIC).read_bytes() != public:
        write_atomically(folder / PUBLIC, public)
    return key


def public_key(home: Path) -> Ed25519PublicKey:
    """The public key under `home`/keys. Raises FileNotFoundError where none was made or copied there yet."""
    path = home / "keys" / PUBLIC
    key = load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"Expected an Ed25519 key in {path}, got {type(key).__name__}.")
    return key


def write_atomically(path: Path, content: bytes) -> None:
    """The file with this content, or as it was before: never half of it, even if the machine stops here."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        crash_at("before_pointer")
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _create(path: Path) -> None:
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mkstemp makes it 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(made)
        os.link(temporary, path)
    except FileExistsError:
        pass  # another trainer was quicker: hers is the key
    finally:
        os.unlink(temporary)
