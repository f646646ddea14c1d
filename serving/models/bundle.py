"""A model as signed plain files: what a folder must look like before anything in it is believed.

A bundle is a folder of fixed file names (`training.model_files.FILES`), a manifest with each file's size and
SHA-256, and an Ed25519 signature of the manifest. LightGBM trusts its text and dies of a damaged one, so
nothing is parsed before the signature and the hashes hold.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from serving.models.signing import write_atomically
from training.model_files import FILES
from training.registry import BUNDLE_FILES, LARGEST_FILE_BYTES, MANIFEST, SIGNATURE

FORMAT = 1
LARGEST_MANIFEST_BYTES = 65_536
SIGNATURE_BYTES = 64


class BundleRefusedError(Exception):
    """A bundle that must not be loaded; the message says why."""


@dataclass(frozen=True)
class Manifest:
    """What a sealed bundle says of itself."""

    digest: str  # of the content alone: the same model trained again has the same digest
    files: Mapping[str, str]  # name -> SHA-256
    about: Mapping[str, Any]  # when and on what it was trained; signed, but not part of the digest


def seal(folder: Path, key: Ed25519PrivateKey, *, about: Mapping[str, Any] | None = None) -> Manifest:
    """Write the manifest and its signature beside the model's files in `folder`.

    Raises ValueError where the folder holds anything else.
    """
    names = sorted(name.name for name in folder.iterdir() if name.name not in (MANIFEST, SIGNATURE))
    strange = [name for name in names if name not in FILES]
    if strange or not names:
        raise ValueError(f"A bundle holds the files of training.model_files; unexpected {strange}, of {len(names)}.")
    contents = {name: _read(folder / name, LARGEST_FILE_BYTES) for name in names}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "lightgbm": version("lightgbm"),
        "digest": _digest(files),
        "files": {name: {"sha256": files[name], "size": len(contents[name])} for name in names},
        "about": dict(about or {}),
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True).encode()
    write_atomically(folder / MANIFEST, text)
    write_atomically(folder / SIGNATURE, key.sign(text))
    return Manifest(manifest["digest"], files, manifest["about"])


def verify(folder: Path, key: Ed25519PublicKey) -> Manifest:
    """The manifest of a bundle whose signature, names, sizes and hashes all hold.

    Reads and hashes, but parses nothing besides the manifest, and that only once its signature holds.
    Raises BundleRefusedError otherwise.
    """
    names = _names(folder)
    if not {MANIFEST, SIGNATURE} <= names:
        raise BundleRefusedError("not sealed: the manifest or its signature is missing")
    text = _read(folder / MANIFEST, LARGEST_MANIFEST_BYTES)
    try:
        key.verify(_read(folder / SIGNATURE, SIGNATURE_BYTES), text)
    except InvalidSignature:
        raise BundleRefusedError("the signature is not ours, or the manifest was changed after signing") from None
    manifest = json.loads(text)
    if manifest["format"] != FORMAT:
        raise BundleRefusedError(f"bundle format {manifest['format']}; this version reads format {FORMAT}")
    if _major(manifest["lightgbm"]) != _major(version("lightgbm")):
        raise BundleRefusedError(f"made by LightGBM {manifest['lightgbm']}, here is {version('lightgbm')}")
    listed = manifest["files"]
    if names - {MANIFEST, SIGNATURE} != listed.keys():
        raise BundleRefusedError("its files are not those that the manifest lists")
    for name, entry in listed.items():
        content = _read(folder / name, LARGEST_FILE_BYTES)
        if len(content) != entry["size"] or hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise BundleRefusedError(f"{name} is not the file that was signed")
    files = {name: entry["sha256"] for name, entry in listed.items()}
    if manifest["digest"] != _digest(files):
        raise BundleRefusedError("its digest does not follow from its files")
    return Manifest(manifest["digest"], files, manifest["about"])


def copy_files(source: Path, target: Path) -> None:
    """Copy a bundle's files by their fixed names, under the size caps; anything else there is refused."""
    for name in _names(source):
        (target / name).write_bytes(_read(source / name, LARGEST_FILE_BYTES))


def _digest(files: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _names(folder: Path) -> set[str]:
    if folder.is_symlink() or not folder.is_dir():
        raise BundleRefusedError("not a folder")
    names = set(os.listdir(folder))
    strange = names - set(BUNDLE_FILES)
    if strange:
        raise BundleRefusedError(f"{len(strange)} files that no bundle has")
    return names


def _read(path: Path, limit: int) -> bytes:
    """The bytes of a regular file, never more than `limit`; a link is not followed."""
    try:
        # O_NONBLOCK: opening a pipe must not wait for a writer.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BundleRefusedError(f"{path.name} cannot be opened as a plain file ({error.strerror})") from None
    about = os.fstat(number)
    if not stat.S_ISREG(about.st_mode) or about.st_size > limit:
        os.close(number)  # a folder cannot even be opened as a file
        raise BundleRefusedError(f"{path.name} is not a plain file of at most {limit} bytes")
    with os.fdopen(number, "rb") as file:
        return file.read(limit)


def _major(release: str) -> str:
    return release.split(".")[0]
