"""Reading a site file: all that is wrong with it at once, each with its path and what to write."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from infra.errors import BadInput
from infra.model.site import Site

#: Bytes. A site is a page or two; a larger file is another file.
LIMIT = 1024 * 1024


def load_site(path: Path) -> Site:
    """The validated site of a YAML file; BadInput lists every error in it."""
    data = _parsed(path, _read(path))
    try:
        return Site.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise BadInput(_listed(path, lines)) from None


def _listed(path: Path, problems: list[str]) -> str:
    return "\n".join([f"{path} can't be used:", *(f"  {problem}" for problem in problems)])


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LIMIT).decode()
    except FileNotFoundError:
        raise BadInput(
            f"There is no site file {path}.",
            "Write one with 'meshkeeper init', or name another with --site FILE.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The site file {path} can't be read: {error}.") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path} does not describe a site.", "See 'meshkeeper init'.")
    return data
