"""A host's first key, where nobody gave its fingerprint: pinned by a person's explicit yes."""

from infra.access.host_keys import is_pinned, pin, pin_host_key, shown_key
from infra.access.login import Login, admin_login
from infra.errors import BadInput
from infra.model.site import Site
from infra.settings import Settings


def ask_about_host_keys(settings: Settings, site: Site, host: str) -> None:
    """Show a key that is neither declared nor pinned, and pin this very key after a yes.

    The jump host's comes first: only through it the host's own can be seen. Raises BadInput after
    any other answer, HostKeyMismatch, Unreachable.
    """
    login, jump = admin_login(settings, site, host), site.hosts[host].jump
    if jump and login.jump:
        if jump.host_key:
            pin_host_key(login.jump, jump.host_key)
        else:
            _ask_about(login.jump)
    if not site.hosts[host].host_key:
        _ask_about(login)


def _ask_about(login: Login) -> None:
    if is_pinned(login):
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
            f"Write its fingerprint to hosts.{login.name}.host_key, or try again and say yes.",
        )
    pin(login, key)


def _said(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""
