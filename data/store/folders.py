"""Folders of an installation's state."""

from pathlib import Path

from data.errors import InputError


def make_folder(folder: Path) -> None:
    """Make the folder, where it is not there yet. Raises InputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made ({error.strerror}): set LEADMATCH_HOME to a folder that can be written."
        ) from None
