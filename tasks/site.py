"""Opening the site that a flow was asked for."""

from typing import NamedTuple

from infra.errors import BadInput
from infra.model.site import Site
from infra.settings import Settings, load_settings
from infra.site_file import load_site


class OpenSite(NamedTuple):
    """A validated site, and the settings of the machine that works on it."""

    site: Site
    settings: Settings


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
