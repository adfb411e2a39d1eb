"""The server's identity: pinned at the first rollout, and required at every later one."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from infra.access.anchor import load_anchor, update_anchor
from infra.access.web import relay_key
from infra.errors import BadInput, GateFailed
from infra.model.anchor import Anchor, RolledOutPolicy
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
    pins = {"server_key": server_key, "derp_key": _relay_key(site, anchor)}
    policy = _policy_of(headscale)
    return update_anchor(
        settings,
        site.name,
        lambda known: known.model_copy(update={**pins, "policies": _confirmed(known, policy)}),
    )


def announce_policy(settings: Settings, site: Site, headscale: RenderedStack) -> None:
    """Note the policy that a rollout is about to write: killed after that, it is known all the same."""
    _note(settings, site, _policy_of(headscale), _announced)


def announce_known_policy(settings: Settings, site: Site, policy: str) -> None:
    """The same for a release that lies on the host, a suspect: its policy must once have been ours.

    `policy` is its SHA-256 (hex). Raises BadInput.
    """
    if policy not in {known.sha256 for known in load_anchor(settings, site.name).policies}:
        raise BadInput(
            "The policy of that release is none that this machine has rolled out.",
            "Somebody changed it on the host. Roll out what you want from the site file instead.",
        )
    _note(settings, site, policy, _announced)


def confirm_known_policy(settings: Settings, site: Site, policy: str) -> None:
    """It is in force: the gate has passed."""
    _note(settings, site, policy, _confirmed)


def _note(
    settings: Settings,
    site: Site,
    policy: str,
    noted: Callable[[Anchor, str], tuple[RolledOutPolicy, ...]],
) -> None:
    update_anchor(
        settings,
        site.name,
        lambda known: known.model_copy(update={"policies": noted(known, policy)}),
    )


def _policy_of(headscale: RenderedStack) -> str:
    content = headscale.files[f"config/{POLICY}"].content
    return hashlib.sha256(content.encode()).hexdigest()


def _announced(anchor: Anchor, policy: str) -> tuple[RolledOutPolicy, ...]:
    if anchor.policies and anchor.policies[-1].sha256 == policy:
        return anchor.policies
    new = RolledOutPolicy(sha256=policy, since=datetime.now(UTC), confirmed=False)
    return (*anchor.policies, new)


def _confirmed(anchor: Anchor, policy: str) -> tuple[RolledOutPolicy, ...]:
    *before, last = _announced(anchor, policy)
    return (*before, last.model_copy(update={"confirmed": True}))


def _relay_key(site: Site, anchor: Anchor) -> str:
    """Raises GateFailed when it is not the pinned one."""
    shown = relay_key(site.server_url, site.network)
    if anchor.derp_key in (None, shown):
        return shown
    raise GateFailed(
        f"The relay shows the key {shown}, pinned is {anchor.derp_key}.",
        "Put derp_server_private.key back from the newest verified snapshot (docs/runbook.md).",
    )
