"""The text of a file's bytes: UTF-8, GB18030, or the encoding that was named."""

import codecs
from typing import BinaryIO

from data.errors import InputError

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook or a zip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"PAR1": "Parquet, called otherwise",
}
PIECE = 1 << 20  # bytes read at once
_COMMON_CHINESE = 0.7  # of the double bytes; Latin-1 letters read as GB18030 come far below


def decoded(name: str, data: bytes, encoding: str | None) -> str:
    """The text in `data`. Raises InputError where it is no text, or in no encoding that can be told."""
    for signature, what in _SIGNATURES.items():
        if data.startswith(signature):
            raise InputError(f"{name}: is {what}, not CSV; save it as CSV (UTF-8).")
    if encoding:
        return _as_stated(name, data, encoding)
    mark = next((known for start, known in _MARKS.items() if data.startswith(start)), None)
    if mark:
        return _as_stated(name, data, mark)
    if b"\x00" in data:
        raise InputError(f"{name}: holds NUL bytes, so it is not text; save it as CSV (UTF-8).")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = _chinese(data)
        if text is None:
            line = data.count(b"\n", 0, error.start) + 1
            raise InputError(
                f"{name}: unknown encoding, neither UTF-8 (line {line} is not) nor GB18030; "
                "save it as UTF-8 or set encoding: in dataset.yaml (cp1252, for example)."
            ) from None
        return text


def is_utf8(file: BinaryIO) -> bool:
    """Whether a whole stream is UTF-8 without NUL bytes, read a piece at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in iter(lambda: file.read(PIECE), b""):
            if b"\x00" in piece:
                return False
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _as_stated(name: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise InputError(
            f"{name}: unknown encoding '{encoding}'; set encoding: to utf-8, gb18030, cp1252 ..."
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}: line {line} is not {encoding}; set encoding: to what the file is in.") from None


def _chinese(data: bytes) -> str | None:
    """The text read as GB18030 if it reads like Chinese: almost any bytes are *some* GB18030."""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    wide = [character for character in text if ord(character) > 127]
    common = sum(_in_gb2312(character) for character in set(wide))
    return text if wide and common >= _COMMON_CHINESE * len(set(wide)) else None


def _in_gb2312(character: str) -> bool:
    try:
        return len(character.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return False
