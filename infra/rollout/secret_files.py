"""The secrets that a stack's containers read from files: their values, and what stands for them."""

import fcntl
import hmac
import json
import secrets
from collections.abc import Iterable

from infra.access.anchor import write_private
from infra.model.declaration import SECRETS
from infra.model.request import StackName
from infra.model.site import Site
from infra.model.stack import RenderedSecret
from infra.settings import Settings, read_secret

#: Characters of a secret's line that are hidden where the whole is not told: fewer may be any word.
SHORTEST = 6


def secrets_of(settings: Settings, site: Site, stack: StackName) -> dict[str, RenderedSecret]:
    """By path below the stack's folder. Raises BadInput for a value that is missing."""
    references = site.stacks.secrets.get(stack, {})
    if not references:
        return {}
    key, found = _key(settings, site), {}
    for name, reference in references.items():
        value = read_secret(settings, reference)
        said = f"{stack}\0{name}\0{value.get_secret_value()}".encode()
        mark = hmac.digest(key, said, "sha256").hex()
        found[f"{SECRETS}/{name}"] = RenderedSecret(value=value, mark=mark)
    return found


def masked(text: str, hidden: Iterable[RenderedSecret]) -> str:
    """`text` of a service that may have told what it was given, whole or in part."""
    for secret in hidden:
        for said in _forms(secret.content):
            text = text.replace(said, "***")
    return text


def _forms(value: str) -> list[str]:
    """The whole, as it is and quoted, and each line of it; the longest first."""
    lines = [line.strip() for line in value.splitlines()]
    stripped = value.strip()
    forms = {value, stripped, repr(stripped)[1:-1], json.dumps(stripped)[1:-1]}
    forms |= {line for line in lines if len(line) >= SHORTEST}
    return sorted(filter(None, forms), key=len, reverse=True)


def _key(settings: Settings, site: Site) -> bytes:
    """This machine's, made at first use; with another one, containers are started anew once."""
    folder = settings.site_dir(site.name)
    path = folder / "marks.key"
    with (folder / ".marks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            write_private(path, secrets.token_bytes(32))
        return path.read_bytes()
