"""A stack's templates, rendered. They are meshkeeper's, or the user's own."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from infra.errors import BadInput
from infra.model.declaration import FILE, SECRETS, DeclaredStack

#: Bytes. A configuration is text for people.
LARGEST = 256 * 1024


class Templates:
    """Those of one stack; `values` are what each of them may ask for."""

    def __init__(self, declared: DeclaredStack, values: dict[str, Any]) -> None:
        self._declared = declared
        self._values = values
        self._jinja = Environment(  # noqa: S701 - no HTML of others
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            loader=FileSystemLoader(declared.folder),
        )
        self._jinja.globals["csp_hash"] = self._csp_hash

    def paths(self) -> tuple[str, ...]:
        """What goes to the host, in order; BadInput for what can't be a text file there."""
        folder = self._declared.folder
        if (folder / SECRETS).exists():
            raise BadInput(
                f"{folder / SECRETS}: no secret lies beside the templates.",
                "Name it in needs.secrets, and refer to it in the site file (docs/stacks.md).",
            )
        left_out = {FILE, *self._declared.declaration.included}
        return tuple(path for path in _files(folder) if path not in left_out)

    def content(self, path: str, **more: Any) -> bytes:
        """One file as it is to be on the host. Raises BadInput."""
        text = self._text(path)
        if path in self._declared.declaration.verbatim:
            return text.encode()
        return self.filled_in(text, path, **more).encode()

    def filled_in(self, text: str, path: str, **more: Any) -> str:
        """`text`, which stands in the file `path`. Raises BadInput for what it can't be given."""
        try:
            return self._jinja.from_string(text).render(self._values | more)
        except TemplateError as error:
            raise BadInput(
                f"{self._declared.folder / path}{_line(error)} can't be filled in: "
                f"{str(error).rstrip('.')}.",
                "docs/stacks.md lists what a template may ask for; a file with braces of its own is "
                "named in `verbatim`.",
            ) from None

    def _text(self, path: str) -> str:
        file = self._declared.folder / path
        try:
            if file.stat().st_size > LARGEST:
                raise BadInput(f"{file} is larger than {LARGEST // 1024} KiB.")
            return file.read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{file} can't be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise BadInput(
                f"{file} is no text in UTF-8.",
                "A stack's files are texts: pictures belong into its image.",
            ) from None

    def _csp_hash(self, path: str) -> str:
        """For a Content-Security-Policy, of a file that a page includes."""
        digest = hashlib.sha256(self._text(path).encode()).digest()
        return "sha256-" + base64.b64encode(digest).decode()


def _line(error: TemplateError) -> str:
    line = getattr(error, "lineno", None)
    return f", line {line}," if line else ""


def _files(folder: Path) -> Iterator[str]:
    """All but hidden ones, by path below `folder`; those of a folder before its subfolders'."""
    found = (path for path in folder.rglob("*") if path.is_file())
    paths = [path.relative_to(folder) for path in found]
    for path in sorted(paths, key=lambda path: (path.parent, path.name)):
        if not any(part.startswith((".", "__")) for part in path.parts):
            yield path.as_posix()
