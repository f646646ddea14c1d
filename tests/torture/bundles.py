"""Damaged and crafted bundles: copies of a sound one with one thing wrong, each under a name that says what."""

import json
import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving.models import bundle
from serving.models.bundle import MANIFEST, SIGNATURE

Files = dict[str, bytes]


def mutants(text: str, count: int, seed: int = 11) -> Iterator[str]:
    """Damaged copies of a LightGBM text, a mutation each: cut, a character changed, a line gone, a number wild."""
    rng = np.random.default_rng(seed)
    lines = text.split("\n")
    made = 0
    while made < count:
        kind = made % 4
        if kind == 0:
            mutant = text[: int(rng.integers(10, len(text) - 1))]
        elif kind == 1:
            place = int(rng.integers(len(text)))
            mutant = text[:place] + "x" + text[place + 1 :]
        elif kind == 2:
            place = int(rng.integers(len(lines)))
            mutant = "\n".join(lines[:place] + lines[place + 1 :])
        else:
            name = ["left_child", "split_feature", "leaf_value", "num_leaves"][int(rng.integers(4))]
            where = [one.span() for one in re.finditer(rf"{name}=\S+", text)]
            start, end = where[int(rng.integers(len(where)))]
            mutant = f"{text[:start]}{name}={['99999', '-7', 'nan', ''][int(rng.integers(4))]}{text[end:]}"
        if mutant != text:
            made += 1
            yield mutant


@dataclass
class Marker:
    """What a pickle would run: it makes a file, by which one sees that it was run."""

    path: str

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def resigned(folder: Path, key: Any, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and sign it anew, with our own key: the inside must hold as well."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    text = json.dumps(manifest).encode()
    (folder / MANIFEST).write_bytes(text)
    (folder / SIGNATURE).write_bytes(key.sign(text))


def _linked(folder: Path) -> None:
    (folder / "reps.json").rename(folder.parent / "elsewhere.json")
    (folder / "reps.json").symlink_to(folder.parent / "elsewhere.json")


def _pipe(folder: Path) -> None:
    (folder / "reps.json").unlink()
    os.mkfifo(folder / "reps.json")


def _folder_for_a_file(folder: Path) -> None:
    (folder / "reps.json").unlink()
    (folder / "reps.json").mkdir()


def _listed_as(name: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"].pop("reps.json")

    return change


def _set(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(values)


def crafted_outside(folder: Path, key: Any, other_key: Any, marker: Path) -> dict[str, Callable[[], object]]:
    """What is wrong with a bundle before anything in it is read; each change is made to the sealed `folder`."""
    evil = pickle.dumps(Marker(str(marker)))
    return {
        "a pickle beside": lambda: (folder / "model.pkl").write_bytes(evil),
        "a pickle for the model": lambda: (folder / "lead_model.txt").write_bytes(evil),
        "code beside": lambda: (folder / "code").mkdir(),
        "a loader beside": lambda: (folder / "MLmodel").write_text("loader_module: evil"),
        "a link for a file": lambda: _linked(folder),
        "a pipe for a file": lambda: _pipe(folder),
        "a folder for a file": lambda: _folder_for_a_file(folder),
        "a file is missing": lambda: (folder / "reps.json").unlink(),
        "an empty file": lambda: (folder / "reps.json").write_bytes(b""),
        "no signature": lambda: (folder / SIGNATURE).unlink(),
        "an empty signature": lambda: (folder / SIGNATURE).write_bytes(b""),
        "somebody else's signature": lambda: (folder / SIGNATURE).write_bytes(
            other_key.sign((folder / MANIFEST).read_bytes())
        ),
        "a manifest of other bytes": lambda: (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes() + b" "),
        "a manifest that never ends": lambda: (folder / MANIFEST).write_bytes(
            b" " * (bundle.LARGEST_MANIFEST_BYTES + 1)
        ),
        "a name that climbs out": lambda: resigned(folder, key, _listed_as("../reps.json")),
        "a name from the root": lambda: resigned(folder, key, _listed_as("/etc/passwd")),
        "another format": lambda: resigned(folder, key, _set(format=99)),
        "another LightGBM": lambda: resigned(folder, key, _set(lightgbm="3.3.5")),
        "another digest": lambda: resigned(folder, key, _set(digest="0" * 64)),
        "a size that is not so": lambda: resigned(
            folder, key, lambda manifest: manifest["files"]["reps.json"].update(size=7)
        ),
    }


def _json(files: Mapping[str, bytes], name: str, change: Callable[[Any], object]) -> Files:
    value = json.loads(files[name])
    changed = change(value)
    return {**files, name: json.dumps(value if changed is None else changed).encode()}


def _array(files: Mapping[str, bytes], name: str, change: Callable[[np.ndarray], np.ndarray], folder: Path) -> Files:
    path = folder / "changed.npy"
    path.write_bytes(files[name])
    values = change(np.load(path))
    np.save(path, values, allow_pickle=values.dtype == object)
    changed = path.read_bytes()
    path.unlink()
    return {**files, name: changed}


def crafted_inside(files: Mapping[str, bytes], folder: Path, marker: Path) -> dict[str, Files]:
    """Files that are wrong and signed all the same: what loading and the canaries must refuse.

    folder : for passing files.
    """

    def features(change: Callable[[list[Any]], object]) -> Callable[[Any], object]:
        def changed(model: Any) -> None:
            change(model["contract"]["columns"] if "columns" in model["contract"] else _first_list(model["contract"]))

        return changed

    evil = np.array([Marker(str(marker))], dtype=object)
    return {
        "an array of pickles": _array(files, "effects.npy", lambda _: evil, folder),
        "an array of another shape": _array(files, "effects.npy", lambda a: a[:-1], folder),
        "effects that are no numbers": _array(files, "effects.npy", lambda a: a * np.nan, folder),
        "effects without end": _array(files, "effects.npy", lambda a: a + np.inf, folder),
        "effects of another model": _array(files, "effects.npy", lambda a: a[::-1], folder),
        "columns in another order": _json(files, "model.json", features(lambda columns: columns.reverse())),
        "a column fewer": _json(files, "model.json", features(lambda columns: columns.pop())),
        "a column more": _json(files, "model.json", features(lambda c: c.append({**c[-1], "name": "more"}))),
        "another calibration": _json(files, "model.json", lambda m: m["calibration"].update(slope=2.0)),
        "a model that is no JSON": {**files, "model.json": b"\x80\x04."},
        "a format of tomorrow": _json(files, "model.json", lambda model: model.update(format=99)),
        "nobody on the roster": {**files, "reps.json": b"[]"},
        "no canaries": _json(files, "canary.json", lambda canary: canary.update(leads=[], expected=[])),
        "canaries of another model": _json(
            files, "canary.json", lambda c: c.update(expected=[[x + 1e-6 for x in row] for row in c["expected"]])
        ),
    }


def _first_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else next(part for part in value.values() if isinstance(part, list))
