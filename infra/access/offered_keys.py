"""Which of our keys a login offers, one after the other in one connection, until sshd takes one."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from paramiko import PKey, SSHException

from infra.access.login import Login
from infra.access.private_key import KeyAgent, private_key, public_line, unlocked_key
from infra.access.silence import WatchedTransport
from infra.errors import BadInput, LoginRefused

#: In ~/.ssh, where no key is named.
DEFAULTS = ("id_ed25519", "id_ecdsa", "id_rsa")
#: What sshd says when it ends a connection after its MaxAuthTries.
TOO_MANY = "Too many authentication failures"


class Offer(NamedTuple):
    """A key; `file` is the one that settings name for it."""

    key: PKey
    file: Path | None = None


class OfferedKeys:
    """How paramiko's client logs in (its `auth_strategy`).

    sshd forgives refused keys in a connection that ends in a login, but takes six of them at most.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self._refused = 0

    def authenticate(self, transport: WatchedTransport) -> Login:
        """Log in; returns the login, with the one key file that it was done by.

        Raises LoginRefused, BadInput and CouldNotRun for a key that can't be used, SSHException when
        the connection breaks.
        """
        with closing(KeyAgent()) as agent:
            for offer in self._offers(agent):
                if self._accepted(transport, offer.key):
                    return self._login.by(offer.file)
        raise self._none_accepted()

    def _offers(self, agent: KeyAgent) -> Iterable[Offer]:
        login = self._login
        if login.key_file:
            yield Offer(private_key(login.key_file, agent), login.key_file)
        else:
            yield from map(Offer, found_keys(agent, login.declared_keys))
        if login.previous_key_file:
            yield Offer(private_key(login.previous_key_file, agent), login.previous_key_file)

    def _accepted(self, transport: WatchedTransport, key: PKey) -> bool:
        try:
            transport.auth_publickey(self._login.user, key)
        except SSHException as error:
            self._refused += 1
            if TOO_MANY in transport.farewell:
                raise self._too_many() from error
            # A connection that breaks, or no answer in time, is no refusal; paramiko calls it one.
            if not transport.is_active() or "timeout" in str(error).lower():
                raise
        return transport.is_authenticated()

    def _too_many(self) -> LoginRefused:
        return LoginRefused(
            f"{self._login} ended the connection after {self._refused} keys that it does not accept.",
            "Name the right one in MESHKEEPER_SSH_KEY; if it has a passphrase, your SSH agent is asked "
            "for that one alone.",
        )

    def _none_accepted(self) -> LoginRefused:
        login = self._login
        if not self._refused:
            return LoginRefused(
                f"There is no key to offer to {login}: no SSH agent has one, nor has ~/.ssh.",
                "Make one with ssh-keygen, or name one in MESHKEEPER_SSH_KEY.",
            )
        keys = " and ".join(str(path) for path in (login.key_file, login.previous_key_file) if path)
        return LoginRefused(
            f"{login} does not accept our key ({keys or 'SSH agent and ~/.ssh'}).", login.key_advice
        )


def found_keys(agent: KeyAgent, declared: Iterable[str]) -> list[PKey]:
    """The agent's, then those in ~/.ssh without passphrase, each once; `declared` ones first.

    So the right one is among sshd's six also where the agent has twenty.
    """
    found: dict[str, PKey] = {public_line(key): key for key in agent.keys}
    for name in DEFAULTS:
        if key := _default_key(Path("~/.ssh", name).expanduser()):
            found.setdefault(public_line(key), key)
    lines = {" ".join(line.split()[:2]) for line in declared}
    return sorted(found.values(), key=lambda key: public_line(key) not in lines)


def _default_key(path: Path) -> PKey | None:
    try:
        return unlocked_key(path) if path.is_file() else None
    except BadInput:  # nobody named it
        return None
