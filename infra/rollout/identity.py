"""The server's identity: pinned at the first rollout, and required at every later one."""

import hashlib

from infra.access.anchor import load_anchor, save_anchor
from infra.access.web import relay_key
from infra.errors import GateFailed
from infra.model.anchor import Anchor
from infra.model.site import Site
from infra.model.snapshot import POLICY
from infra.model.stack import RenderedStack
from infra.settings import Settings


def require_pinned(anchor: Anchor, server_key: str) -> None:
    """Raises GateFailed for a server that is not the one we know."""
    if anchor.server_key in (None, server_key):
        return
    raise GateFailed(
        f"headscale shows the key {server_key}, pinned is {anchor.server_key}: running clients "
        "would be locked out. Either its noise_private.key was lost, and headscale silently made "
        "another, or this is not our server.",
        "Put noise_private.key back from the newest verified snapshot (docs/runbook.md).",
    )


def pin(settings: Settings, site: Site, server_key: str, headscale: RenderedStack) -> Anchor:
    """Write server key, relay key and policy to the anchor. Raises GateFailed, Unreachable."""
    anchor = load_anchor(settings, site.name)
    require_pinned(anchor, server_key)
    policy = headscale.files[f"config/{POLICY}"].content.encode()
    pinned = anchor.model_copy(
        update={
            "server_key": server_key,
            "derp_key": _relay_key(site, anchor),
            "policy_sha256": hashlib.sha256(policy).hexdigest(),
        }
    )
    save_anchor(settings, site.name, pinned)
    return pinned


def _relay_key(site: Site, anchor: Anchor) -> str:
    """Raises GateFailed when it is not the pinned one."""
    shown = relay_key(site.server_url, site.network)
    if anchor.derp_key in (None, shown):
        return shown
    raise GateFailed(
        f"The relay shows the key {shown}, pinned is {anchor.derp_key}.",
        "Put derp_server_private.key back from the newest verified snapshot (docs/runbook.md).",
    )
