"""The rule book as it is written: YAML that hides nothing, and the line of every field."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from data.errors import InputError
from data.names import nearest

Lines = Mapping[tuple[str, ...], int]


def read_yaml(text: str) -> tuple[Any, Lines]:
    """What the text says, and the line of each field; InputError where it says nothing clear."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return yaml.safe_load(text), _lines(root, text)
    except yaml.YAMLError as error:
        raise InputError(f"The rule book is not readable YAML: {_yaml_problem(error)}") from None
    except InputError:  # of ours, which say where
        raise
    except (ValueError, KeyError, AttributeError, TypeError):
        # The library's own, not meant for us: a date that there is not, a number of too many digits, !!bool of no bool.
        raise InputError("The rule book holds a date, number or tagged value that cannot be.") from None
    except RecursionError:
        raise InputError("The rule book is nested too deeply; see `leadmatch policy show`.") from None


def at_line(lines: Lines, path: tuple[str, ...], message: str) -> str:
    """The message with the line and the name of the field, counting list items from 1."""
    known = path
    while known not in lines:
        known = known[:-1]
    named = [str(int(part) + 1) if part.isdigit() else part for part in path]
    return f"line {lines[known]}: {'.'.join(named) or 'rule book'}: {message}"


def field_problem(entry: Any, lines: Lines, fields: Any) -> str:
    """One complaint of the types, with its line. `fields` : the type of the whole, to name a field that was meant."""
    path = tuple(str(part) for part in entry["loc"] if part != "[key]")
    message = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if entry["type"] == "extra_forbidden":
        meant = nearest(path[-1], _fields_at(fields, path[:-1]))
        message = "there is no such field" + (f"; did you mean {meant}?" if meant else "")
    if entry["type"] == "literal_error":
        meant = nearest(str(entry["input"]), re.findall(r"'([^']+)'", entry["ctx"]["expected"]))
        message += f"; did you mean {meant}?" if meant else ""
    return at_line(lines, path, message)


def _fields_at(kind: Any, path: tuple[str, ...]) -> list[str]:
    """The fields that stand at `path` of a type."""
    for part in path:
        if part.isdigit():
            continue
        annotation = kind.model_fields[part].annotation
        inside = [annotation, *getattr(annotation, "__args__", ())]
        kind = next((each for each in inside if hasattr(each, "model_fields")), None)
        if kind is None:
            return []
    return list(kind.model_fields)


def _lines(root: yaml.Node | None, text: str) -> dict[tuple[str, ...], int]:
    """The line of every field. Refuses aliases and repeated fields, which YAML would let pass silently."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
        raise InputError("The rule book uses a YAML alias (`*name`); write the value out.")
    lines: dict[tuple[str, ...], int] = {(): 1}

    def walk(node: yaml.Node, path: tuple[str, ...], line: int) -> None:
        lines[path] = line
        if isinstance(node, yaml.SequenceNode):
            for place, item in enumerate(node.value):
                walk(item, (*path, str(place)), item.start_mark.line + 1)
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                raise InputError(
                    f"The rule book cannot be used: line {key.start_mark.line + 1}: "
                    f"{'.'.join(here)}: given twice, first on line {lines[here]}"
                )
            walk(value, here, key.start_mark.line + 1)

    if root is not None:
        walk(root, (), 1)
    return lines


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "a character that YAML does not allow"
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)
