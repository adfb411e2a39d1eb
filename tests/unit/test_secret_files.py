"""Secrets of a stack: named by its declaration, referred to in the site file, a file on the host."""

import hashlib
import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from infra.errors import BadInput, GateFailed, StepFailed
from infra.model.observation import StackState
from infra.model.stack import RenderedSecret, RenderedStack, RolloutPlan, StackPlan
from infra.planning.stack import plan_stack
from infra.rollout import apply, files
from infra.rollout.outlook import wanted_stacks
from infra.rollout.secret_files import masked
from infra.rollout.watch import watch_of
from infra.settings import Settings
from tests.unit.releasing import Host, host_program, new_host, on_a_host
from tests.unit.test_declaration import Folder
from tests.unit.test_stack_plan import observed

VALUE, VARIABLE = "correct-horse-battery", "MESHKEEPER_SECRET_HELLO_TOKEN"
PATH = "secrets/api_token"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A stack that needs a secret, with the reference in the site file and the value on this machine."""
    monkeypatch.setenv(VARIABLE, VALUE)
    return with_secret(Folder(tmp_path))


def with_secret(folder: Folder) -> Folder:
    folder.declaration["needs"]["secrets"] = ["api_token"]
    folder.site["stacks"]["hello"]["secrets"] = {"api_token": {"secret": "hello_token"}}
    return folder


def wanted(folder: Folder) -> dict[str, RenderedStack]:
    settings = Settings(state_dir=folder.path / "state")
    return wanted_stacks(settings, folder.load(), ())


def planned(stack: RenderedStack, state: StackState) -> StackPlan:
    ids = {image: f"sha256:{image}" for image in stack.images}
    return plan_stack(stack, ids, state, ids)


def in_order(stack: RenderedStack) -> StackState:
    whole = stack.model_copy(update={"files": stack.written})
    return observed(whole, {image: f"sha256:{image}" for image in stack.images}, {})


def test_a_secret_is_a_file_in_a_folder_that_only_root_enters(folder: Folder) -> None:
    hello = wanted(folder)["hello"]
    assert hello.secrets[PATH].content == VALUE
    assert hello.folders[hello.directory / "secrets"] == 0o700
    assert planned(hello, in_order(hello)).empty


def test_another_value_is_written_and_starts_those_that_read_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = wanted(folder)
    monkeypatch.setenv(VARIABLE, "another")
    after = wanted(folder)
    assert after["caddy"] == before["caddy"]
    plan = planned(after["hello"], in_order(before["hello"]))
    # The Compose file holds the container's mark.
    assert [f"{c.kind} {getattr(c, 'path', '')}".strip() for c in plan.changes] == [
        "write docker-compose.yml",
        f"write {PATH}",
        "start",
    ]


def test_a_container_that_does_not_read_it_goes_on(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.declaration["reads"] = {"hello": ["index.html"]}
    before = wanted(folder)["hello"]
    monkeypatch.setenv(VARIABLE, "another")
    plan = planned(wanted(folder)["hello"], in_order(before))
    assert [change.kind for change in plan.changes] == ["write"]


def test_the_same_value_has_another_mark_on_another_machine(folder: Folder) -> None:
    first = wanted(folder)["hello"].secrets[PATH].mark
    assert wanted(folder)["hello"].secrets[PATH].mark == first
    (key,) = (folder.path / "state").rglob("marks.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    assert wanted(folder)["hello"].secrets[PATH].mark != first


def test_neither_the_value_nor_what_could_be_guessed_from_is_told(folder: Folder) -> None:
    hello = wanted(folder)["hello"]
    plan = planned(hello, StackState(project="hello", files={}, containers={}))
    whole = RolloutPlan(stacks={"hello": plan})
    told = [repr(hello), str(hello), hello.model_dump_json(), repr(hello.written)]
    told += [repr(whole), whole.model_dump_json(), whole.describe(), whole.digest]
    told += [file.content for file in hello.files.values()]
    hashed = hashlib.sha256(VALUE.encode()).hexdigest()
    assert [text for text in told if VALUE in text or hashed in text] == []
    assert f"write {PATH}: it is missing" in whole.describe()


def test_no_template_sees_it(folder: Folder) -> None:
    (folder.stack / "index.html").write_text("{{ stack.secrets }} {{ site }}")
    page = wanted(folder)["hello"].files["index.html"].content
    assert "hello_token" in page
    assert VALUE not in page


def refused(folder: Folder) -> str:
    with pytest.raises(BadInput) as caught:
        wanted(folder)
    assert VALUE not in str(caught.value)
    return str(caught.value)


def test_one_that_the_site_file_does_not_give_is_told_with_what_to_write(folder: Folder) -> None:
    del folder.site["stacks"]["hello"]["secrets"]
    assert (
        "stacks.hello.secrets.api_token: is missing, and its stack.yaml needs it; write "
        "{secret: hello_api_token} and put the value into the secrets file"
    ) in refused(folder)


def test_one_that_nobody_needs_is_refused(folder: Folder) -> None:
    folder.site["stacks"]["hello"]["secrets"]["other"] = {"secret": "other"}
    assert "stacks.hello.secrets.other: its stack.yaml needs no such secret" in refused(folder)


def test_a_value_in_the_site_file_is_refused_and_not_quoted(folder: Folder) -> None:
    folder.site["stacks"]["hello"]["secrets"]["api_token"] = VALUE
    told = refused(folder)
    assert "stacks.hello.secrets.api_token: a secret is written as plain text" in told


def test_a_value_that_is_missing_is_told_by_its_name(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    assert f"The secret 'hello_token' is neither in ${VARIABLE} nor in" in refused(folder)


def test_its_folder_belongs_to_secrets_alone(folder: Folder) -> None:
    folder.declaration["data"] = ["secrets"]
    assert "data[0]: 'secrets' the folder secrets is filled by needs.secrets alone" in refused(
        folder
    )
    folder.declaration["data"] = []
    (folder.stack / "secrets").mkdir()
    assert "no secret lies beside the templates" in refused(folder)


def test_what_a_service_logs_of_it_is_masked(folder: Folder) -> None:
    hello = wanted(folder)["hello"]
    session: Any = SimpleNamespace(
        login=SimpleNamespace(name="vps"),
        as_root=str,
        run=lambda *_, **__: SimpleNamespace(stdout=f"token {VALUE} refused".encode(), stderr=b""),
    )
    told = apply.why(session, "hello", GateFailed(f"Not {VALUE}."), hello.secrets.values())
    assert told == "vps: Not ***.\nThe last log lines of hello:\ntoken *** refused"


def test_a_program_that_its_host_quotes_is_masked(folder: Folder) -> None:
    def quoting(_step: str, command: str, *, stdin: bytes, **_: Any) -> bytes:
        assert VALUE not in command
        raise StepFailed(f"vps: prepare of hello: {stdin.decode()[-2000:]}")

    session: Any = SimpleNamespace(as_root=str, check=quoting)
    with pytest.raises(StepFailed) as caught:
        files.prepare(session, wanted(folder)["hello"], migrates=False)
    assert "api_token': '***'" in caught.value.message
    assert VALUE not in caught.value.message


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = new_host(tmp_path, monkeypatch)
    host.images["headscale:1"] = "sha256:a"
    return host


def brought(host: Host, value: str) -> Path:
    secrets = host.stack / "secrets"
    host.ask(
        "prepare",
        files={"compose.yml": "x", PATH: value},
        paths=["compose.yml", PATH],
        folders={str(host.stack): 0o755, str(secrets): 0o700},
        server=None,
    )
    return secrets / "api_token"


def test_on_the_host_it_goes_back_with_its_release(host: Host) -> None:
    place = brought(host, "old")
    host.ask("commit")
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.stat().st_mode) == 0o644  # for whatever user a container has
    brought(host, "new")
    assert place.read_text() == "new"
    told = host.ask("restore", paths=["compose.yml", PATH], server=None)
    assert told == {"back": True, "data_of": None, "diff": f"{PATH}: another value"}
    assert place.read_text() == "old"
    assert [stat.S_IMODE(path.stat().st_mode) for path in host.releases[0].rglob("api_*")] == [
        0o600
    ]


def test_its_folder_is_shut_also_where_an_earlier_release_brings_it_back(host: Host) -> None:
    place = brought(host, "old")
    host.ask("commit")
    host.ask("prepare", "without", server=None)
    host.ask("commit")
    assert not place.exists()
    place.parent.rmdir()
    host.ask("prepare", release=host.releases[0].name, server=None)
    assert place.read_text() == "old"
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_the_list_of_releases_has_no_hash_of_it(host: Host) -> None:
    brought(host, "old")
    looks = on_a_host(files.LOOKS)
    looks.HOME = host_program.HOME
    asked = {"stack": "headscale", "directory": str(host.stack), "server": None}
    (release,) = looks.releases(asked)["releases"]
    assert list(release["files"]) == ["compose.yml"]


def test_a_value_is_hidden_also_in_part_quoted_or_without_its_last_newline() -> None:
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"
    secret = RenderedSecret(value=SecretStr(pem), mark="x")
    for said in (pem, pem.strip(), repr(pem), json.dumps({"key": pem}), "bad line kqhkiG9w0BAQEF!"):
        told = masked(f"it says {said}", [secret])
        assert "MIIEv" not in told
        assert "kqhkiG" not in told


def test_what_is_watched_after_a_rollback_hides_them_too(folder: Folder) -> None:
    hello = wanted(folder)["hello"]
    assert watch_of(hello).secrets == tuple(hello.secrets.values())
