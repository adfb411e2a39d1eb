"""Reading a site file: all that is wrong with it at once, each with its path and what to write."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from infra.errors import BadInput
from infra.model.request import StackName
from infra.model.site import Reading, Site
from infra.own_stacks import declared_for
from infra.site_problems import problems

#: Bytes. A site is a page or two; a larger file is another file.
LIMIT = 1024 * 1024


def load_site(path: Path) -> Site:
    """The validated site of a YAML file.

    Raises BadInput with a line for every problem: its path inside the file, what is wrong, and
    what to write instead.
    """
    data = _parsed(path, _read(path))
    stacks = data.get("stacks")
    declared = declared_for(path, stacks if isinstance(stacks, dict) else ())
    try:
        return Site.model_validate(data, context=Reading(declared))
    except ValidationError as error:
        raise BadInput(_listed(path, problems(data, error, declared))) from None


def require_named(site: Site, names: Iterable[StackName]) -> None:
    """Raises BadInput for names that are no stack's of the site."""
    if unknown := sorted(set(names) - site.stacks.named.keys()):
        raise BadInput(
            f"The site file names no stack {', '.join(unknown)}.",
            f"It names: {', '.join(site.stacks.named)}.",
        )


def _listed(path: Path, found: list[str]) -> str:
    return "\n".join([f"{path} can't be used:", *(f"  {problem}" for problem in found)])


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LIMIT).decode()
    except FileNotFoundError:
        raise BadInput(
            f"There is no site file {path}.",
            "Write one with 'meshkeeper init', or name another with --site FILE.",
        ) from None
    except OSError as error:
        raise BadInput(f"The site file {path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"The site file {path} is no text in UTF-8.") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        data = yaml.load(text, _UniqueKeys)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        # The error's own text quotes the file, where a secret may stand.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{path} is not YAML: line {line}: {error.problem}.") from None
    except yaml.YAMLError:
        raise BadInput(
            f"{path} is not YAML: it holds characters that YAML does not allow."
        ) from None
    if not isinstance(data, dict):
        raise BadInput(f"{path} describes no site.", "'meshkeeper init' writes one to start from.")
    return data


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win in silence; here it is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if str(key) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands there twice", key_node.start_mark
                )
            seen.add(str(key))
        return super().construct_mapping(node, deep)
