"""What is wrong with a site file, in words: path, fact, and what to write instead."""

from copy import deepcopy
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from infra.model.declaration import Declarations
from infra.model.site import OtherStack, Reading, SecretRef, Site, Stacks
from infra.model.site_rules import RULES, Rule

Path = tuple[str | int, ...]

#: A whole site of values that mean nothing, to look at how the good parts of a file go together.
_STAND_IN: dict[str, Any] = {
    "domain": "stand-in.example",
    "hosts": {
        "*": {
            "address": "stand-in",
            "admin_keys": ["ssh-ed25519 stand-in"],
            "jump": {"address": "stand-in", "user": "stand-in"},
        }
    },
    "stacks": {
        "headscale": {"host": "stand-in", "base_domain": "mesh.example"},
        "caddy": {"host": "stand-in"},
        "*": {"host": "stand-in", "memory_mb": 64},
    },
    "backup": {"repository": "stand-in", "password": {"secret": "stand_in"}},
}

_MAY_HOLD_SECRETS = {
    "password",
    "secret",
    "credentials",
    "repository",
    "admin_keys",
    "backup_keys",
    "values",
    "secrets",
}

_FACTS = {
    "string_pattern_mismatch": "does not have the right form",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "tuple_type": "should be a list",
    "model_type": "should be a mapping of keys to values",
    "dict_type": "should be a mapping of keys to values",
}


def problems(data: dict[str, Any], error: ValidationError, declared: Declarations) -> list[str]:
    """A line per problem of a site file: of its parts, then of how they go together."""
    details = error.errors(include_url=False)
    of_parts = [detail for detail in details if detail["loc"] and not _follows(detail, details)]
    if not of_parts:
        return [line for detail in details for line in _fact(detail).splitlines()]
    lines = [f"{_dotted(detail['loc'])}: {_sentence(detail)}" for detail in of_parts]
    return list(dict.fromkeys([*lines, *_between_parts(data, of_parts, declared)]))


def _follows(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """A list counts as empty when all its items are bad: that is no problem of its own."""
    path = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in details
    )


def _sentence(detail: ErrorDetails) -> str:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path)
    field = _field(path)
    if detail["loc"][-1] == "[key]":
        return _no_name(field)
    if field and _takes_secret(field) and isinstance(detail["input"], str):
        return (
            "a secret is written as plain text; write {secret: restic_password} and put the value "
            "into the secrets file (mode 0600) or $MESHKEEPER_SECRET_RESTIC_PASSWORD"
        )
    advice = "; 'meshkeeper init' writes an example"
    if field and field.examples:
        advice = f"; write such as {_shown(field.examples[0])}"
    if detail["type"] == "missing":
        return f"is missing{advice}"
    if detail["type"] == "value_error":
        return f"{_quoted(detail)}is {_fact(detail)}"
    return _quoted(detail) + _fact(detail) + advice


def _no_name(field: FieldInfo | None) -> str:
    if field and field.examples:
        return f"is no name that is known here; write such as {next(iter(field.examples[0]))}"
    return "is no name; use small letters, digits and dashes"


def _takes_secret(field: FieldInfo) -> bool:
    return SecretRef in (field.annotation, *get_args(field.annotation))


def _fact(detail: ErrorDetails) -> str:
    if fact := _FACTS.get(detail["type"]):
        return fact
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message.replace("Input should", "should").partition(", unable to parse")[0]


def _quoted(detail: ErrorDetails) -> str:
    """The value that was given, where it is short and can't be a secret (or a private key)."""
    value = detail["input"]
    secret = not _MAY_HOLD_SECRETS.isdisjoint(detail["loc"])
    plain = isinstance(value, str | int | float | bool)
    return f"{value!r} " if plain and not secret and len(str(value)) <= 80 else ""


def _unknown_key(path: Path) -> str:
    model = _model(path[:-1])
    known = sorted(model.model_fields) if model else []
    if close := get_close_matches(str(path[-1]), known, 1):
        return f"unknown key; write {close[0]!r}"
    return f"unknown key; known here: {', '.join(known)}"


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        if part != "[key]":
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _shown(example: Any) -> str:
    if isinstance(example, dict):
        return "{" + ", ".join(f"{key}: {value}" for key, value in example.items()) + "}"
    if isinstance(example, list):
        return "[" + ", ".join(repr(item) for item in example) + "]"
    return repr(example)


def _field(path: Path) -> FieldInfo | None:
    """The field that a path leads to, or the one whose list or mapping it leads into."""
    for end in range(len(path), 0, -1):
        model = _model(path[: end - 1])
        if model and path[end - 1] in model.model_fields:
            return model.model_fields[str(path[end - 1])]
    return None


def _model(path: Path) -> type[BaseModel] | None:
    """The model at a path; None where something else stands."""
    kind: Any = Site
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            other = OtherStack if kind is Stacks else None
            kind = _without_none(field.annotation) if field else other
        else:
            kind = next(iter(get_args(kind)[1:]), None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _without_none(kind: Any) -> Any:
    """What an optional field holds when it holds something."""
    return get_args(kind)[0] if isinstance(kind, UnionType) else kind


def _between_parts(
    data: dict[str, Any], errors: list[ErrorDetails], declared: Declarations
) -> list[str]:
    """What the rules say about the parts that are good."""
    bad = [_up_to_list(error["loc"]) for error in errors]
    stood_in = deepcopy(data)
    for path in bad:
        _stand_in(stood_in, path)
    try:
        site = Site.model_validate(stood_in, context=Reading(declared, parts_only=True))
    except ValidationError:
        return []
    rules = [rule for rule in RULES if not any(_touches(rule, path) for path in bad)]
    return [problem for rule in rules for problem in rule.check(site)]


def _up_to_list(path: Path) -> Path:
    """A path without what stands inside a list: a list is replaced as a whole."""
    numbers = [at for at, part in enumerate(path) if isinstance(part, int)]
    return path[: numbers[0]] if numbers else path


def _stand_in(data: Any, path: Path) -> None:
    """Put a harmless value at a path, or nothing where nothing is needed."""
    if path[-1] == "[key]":
        _remove(data, path[:-1])
        return
    wanted: Any = _STAND_IN
    for part in path[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
        wanted = wanted.get(part, wanted.get("*")) if isinstance(wanted, dict) else None
    if not isinstance(data, dict):
        return
    value = wanted.get(path[-1], wanted.get("*")) if isinstance(wanted, dict) else None
    if value is None:
        data.pop(path[-1], None)
    else:
        data[path[-1]] = deepcopy(value)


def _remove(data: Any, path: Path) -> None:
    for part in path[:-1]:
        data = data[part]
    data.pop(path[-1], None)


def _touches(rule: Rule, bad: Path) -> bool:
    """Whether a rule reads what stands at a bad path, or above it what holds it."""
    return any(
        len(bad) <= len(read) and all(r in ("*", b) for r, b in zip(read, bad, strict=False))
        for read in rule.reads
    )
