"""The admin's keys: rotated, held by an agent, lost and let in anew by the provider's console."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.lab.boot import Lab
from deployments.lab.keys import ensure_ssh_key
from infra.access.ssh import connect
from infra.errors import BadInput, CouldNotRun, LockOutPrevented, LoginRefused
from infra.host import apply
from infra.host.apply import apply_change
from infra.host.guard import guarded
from infra.host.provision import Target, look, way_in
from tests.integration.hosts import Ordered, change_all, connections, ordered, with_host, within

ROOT = Path(__file__).parents[2]
PASSPHRASE = "correct horse"
#: Keys in an agent besides the right one: more than the six that sshd takes.
MANY = 8
#: Seconds in which the host takes a change back here.
REVERT = 5


@pytest.fixture(scope="module")
def kept(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ordered]:
    """With an admin, who logs in by the key in `folder/id_ed25519`, and not as root any more."""
    with ordered(lab, tmp_path_factory.mktemp("keys"), "keys") as bare:
        change_all(bare.target, last="host.sshd")
        yield bare


def with_keys(target: Target, **keys: Path | None) -> Target:
    return target._replace(settings=target.settings.model_copy(update=keys))


def items(target: Target) -> list[str]:
    return [change.item for change in look(target).plan.changes]


def opens(target: Target, key: Path) -> bool:
    try:
        with connect(target.admin.by(key)):
            return True
    except LoginRefused:
        return False


def test_a_key_is_rotated_by_provisioning_new_in_proved_old_out(kept: Ordered) -> None:
    old, new = kept.folder / "id_ed25519", kept.folder / "new"
    declared = with_host(kept.target, admin_keys=(ensure_ssh_key(new),))
    rotating = with_keys(declared, ssh_key=new, previous_ssh_key=old)
    with pytest.raises(LoginRefused, match="MESHKEEPER_PREVIOUS_SSH_KEY"), connect(rotating.admin):
        pass
    before = connections(kept.machine)
    change = look(rotating).plan.changes[0]
    assert change.item == "host.admin"
    assert "removes the key" in change.detail
    # Both keys are offered in one connection: a refused one costs no attempt of its own.
    assert connections(kept.machine) == before + 1

    with way_in(rotating) as session:
        apply_change(session, change, rotating.admin)

    assert (opens(rotating, new), opens(rotating, old)) == (True, False)
    assert any(
        "opens it no more: take that setting out" in note for note in look(rotating).plan.notes
    )
    back = with_keys(kept.target, previous_ssh_key=new)
    change_all(back, last="host.admin")
    assert (opens(back, new), opens(back, old)) == (False, True)


def test_a_new_key_that_does_not_fit_leaves_the_old_one_in(
    kept: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The declared public half is of another key than the one that is here.

    That is refused before anything begins; and where it was not seen, the host takes it back.
    """
    old, here = kept.folder / "id_ed25519", kept.folder / "here"
    elsewhere = ensure_ssh_key(kept.folder / "elsewhere")
    keys = {"ssh_key": here, "previous_ssh_key": old}
    both = with_keys(with_host(kept.target, admin_keys=(ensure_ssh_key(here), elsewhere)), **keys)
    rotating = with_keys(with_host(kept.target, admin_keys=(elsewhere,)), **keys)
    with pytest.raises(BadInput, match=r"is none of hosts\.vps\.admin_keys"):
        look(rotating)
    monkeypatch.setattr(apply, "guarded", lambda *given: guarded(*given, seconds=REVERT))
    change = look(both).plan.changes[0].model_copy(update={"public_keys": (elsewhere,)})
    with (
        way_in(rotating) as session,
        pytest.raises(LockOutPrevented, match=f"takes it back within {REVERT}"),
    ):
        apply_change(session, change, rotating.admin)
    time.sleep(REVERT + 3)  # no polling: sshd penalises refused logins
    assert opens(kept.target, old)
    assert "host.admin" not in items(kept.target)


@pytest.fixture
def agent(kept: Ordered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real ssh-agent; called with a key file, it holds that key."""
    socket, answer = tmp_path / "agent", tmp_path / "passphrase"
    answer.write_text(f"#!/bin/sh\necho '{PASSPHRASE}'\n")
    answer.chmod(0o700)
    asked = {
        "SSH_AUTH_SOCK": str(socket),
        "SSH_ASKPASS": str(answer),
        "SSH_ASKPASS_REQUIRE": "force",
    }
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        assert within(10, socket.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield lambda key: subprocess.run(
            ["ssh-add", "-q", key], env={**os.environ, **asked}, check=True, capture_output=True
        )
        process.terminate()


@pytest.fixture
def locked(kept: Ordered) -> Iterator[Path]:
    """The admin's key, now with a passphrase."""
    key = kept.folder / "locked"
    key.write_bytes((kept.folder / "id_ed25519").read_bytes())
    key.chmod(0o600)
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", key]
    subprocess.run(command, check=True, capture_output=True)
    yield key
    key.unlink()


def test_a_key_with_a_passphrase_is_the_agents(kept: Ordered, agent, locked: Path) -> None:
    agent(locked)
    for named in (locked, None):
        with connect(with_keys(kept.target, ssh_key=named).admin) as session:
            assert session.check("who", "whoami") == b"linuxuser\n"


def test_an_agent_with_many_keys_offers_the_right_one_first(
    kept: Ordered, agent, locked: Path
) -> None:
    for number in range(MANY):
        other = kept.folder / f"other-{number}"
        ensure_ssh_key(other)
        agent(other)
    agent(locked)
    for named in (locked, None):
        with connect(with_keys(kept.target, ssh_key=named).admin):
            pass


def test_a_passphrase_that_nobody_knows_is_told_after_one_connection(
    kept: Ordered, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    before = connections(kept.machine)
    with pytest.raises(CouldNotRun, match="has a passphrase, and no SSH agent holds it") as told:
        look(with_keys(kept.target, ssh_key=locked))
    assert f"ssh-add {locked}" in told.value.hint
    assert connections(kept.machine) <= before + 1


def test_the_runbooks_way_back_by_the_console_lets_a_new_key_in(kept: Ordered) -> None:
    """`docker exec` stands in for the provider's console: root, without SSH."""
    new = kept.folder / "after-the-loss"
    public = ensure_ssh_key(new)
    section = (ROOT / "docs/runbook.md").read_text().partition("## All keys are lost\n")[2]
    (block,) = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    placeholder = "ssh-ed25519 AAAA… you@home"
    assert placeholder in block
    kept.machine.check("sh", "-c", block.replace(placeholder, public))

    target = with_keys(with_host(kept.target, admin_keys=(public,)), ssh_key=new)
    change_all(target, last="host.admin")
    assert opens(target, new)
    assert not opens(target, kept.folder / "id_ed25519")
    assert "host.admin" not in items(target)
