"""A host's first key, where nobody gave its fingerprint: pinned by a person's explicit yes."""

from infra.access.host_keys import is_pinned, pin, shown_key
from infra.access.login import admin_login
from infra.errors import BadInput
from infra.model.site import Site
from infra.settings import Settings


def ask_about_host_key(settings: Settings, site: Site, host: str) -> None:
    """Show a key that is neither declared nor pinned, and pin this very key after a yes.

    Raises BadInput after any other answer, Unreachable.
    """
    login = admin_login(settings, site, host)
    if site.hosts[host].host_key or is_pinned(login):
        return
    key = shown_key(login)
    print(
        f"No host key is known of {login}. It shows {key.fingerprint} ({key.get_name()}).\n"
        "Compare with the provider's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub):\n"
        "whoever stands between you and the host would show a key of theirs."
    )
    if _said("Is it the same? Write yes: ") != "yes":
        raise BadInput(
            f"The host key of {login} was not pinned, and nothing was touched.",
            f"Write its fingerprint to hosts.{host}.host_key, or try again and say yes.",
        )
    pin(login, key)


def _said(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""
