"""Opening the site that a flow was asked for, and its hosts."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

from infra.access.kept import session_by
from infra.access.login import admin_login
from infra.access.session import Session
from infra.errors import BadInput
from infra.model.site import Site
from infra.settings import Settings, load_settings
from infra.site_file import load_site


class OpenSite(NamedTuple):
    """A validated site, and the settings of the machine that works on it.

    `lock_tokens`: by host, of the locks that this run holds.
    """

    site: Site
    settings: Settings
    lock_tokens: Mapping[str, str] = {}


def open_site(name: str) -> OpenSite:
    """The site of this worker's site file ($MESHKEEPER_SITE), which must be called `name`.

    Raises BadInput when the file is invalid, or describes another site.
    """
    settings = load_settings()
    site = load_site(settings.site)
    if site.name != name:
        raise BadInput(
            f"This worker keeps {site.name} ({settings.site}), not {name}.",
            f"Ask for {site.name}, or start a control plane with the other site's file.",
        )
    return OpenSite(site, settings)


def session_of(opened: OpenSite, host: str) -> AbstractContextManager[Session]:
    """The admin's session on a host; where the run has locked it, each change checks that first."""
    token = opened.lock_tokens.get(host, "")
    login = admin_login(opened.settings, opened.site, host)
    return session_by(login.model_copy(update={"lock_token": token}))
