"""The stacks that a site may name: those that come with meshkeeper, and the user's own beside the site file.

docs/stacks.md tells how to add one.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infra.errors import BadInput
from infra.model.declaration import FILE, Declaration, Declarations, DeclaredStack, built_in

#: Beside the site file, a folder each.
FOLDER = "stacks"
#: On a host, in the admin's home: beside the areas of meshkeeper's own.
PLACE = PurePosixPath("docker/vps/own")
#: Bytes. A declaration is a page.
LIMIT = 64 * 1024


def declared_for(site_file: Path, names: Iterable[object]) -> Declarations:
    """All built-in stacks, and of `names` those that are declared beside the site file.

    One that is not named may be unfinished, and is not looked at. Raises BadInput with a line for
    every problem of a declaration: its path inside the file, and what is wrong.
    """
    folder = site_file.parent / FOLDER
    own = {
        name: _own(folder / name, name)
        for name in names
        if isinstance(name, str) and _is_name(name) and (folder / name / FILE).is_file()
    }
    if taken := sorted(own.keys() & built_in().keys()):
        raise BadInput(
            f"{folder / taken[0]}: meshkeeper has a stack of this name.",
            "Give yours another name, in the site file too.",
        )
    return {**built_in(), **own}


def _is_name(name: str) -> bool:
    return name not in {"", ".", ".."} and "/" not in name and "\0" not in name


def _own(folder: Path, name: str) -> DeclaredStack:
    file = folder / FILE
    try:
        with file.open("rb") as stream:
            values = yaml.safe_load(stream.read(LIMIT).decode()) or {}
        return DeclaredStack(Declaration.model_validate(values), folder, PLACE / name)
    except OSError as error:
        raise BadInput(f"{file} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file} is no text in UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{file} is not YAML: line {line}: {error.problem}.") from None
    except yaml.YAMLError:
        raise BadInput(f"{file} is not YAML.") from None
    except ValidationError as error:
        lines = [f"  {_problem(detail)}" for detail in error.errors(include_url=False)]
        raise BadInput(
            "\n".join([f"{file} can't be used:", *lines]),
            "docs/stacks.md lists what may stand there.",
        ) from None


def _problem(detail: ErrorDetails) -> str:
    path = "".join(_step(part) for part in detail["loc"] if part != "[key]").removeprefix(".")
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown key"
    fact = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{path or 'the file'}: {_given(detail['input'])}{fact}"


def _step(part: Any) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{part}"


def _given(value: Any) -> str:
    return f"{value!r} " if isinstance(value, str | int) and len(str(value)) <= 80 else ""
