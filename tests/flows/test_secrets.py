"""A rollout whose stack needs a secret fails loudly: the value is sent to the host, and told nowhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from flows import rollout
from infra.access.session import Output
from infra.errors import StepFailed
from infra.model.request import RolloutRequest
from tasks import rollout as steps
from tests.unit.test_admission import seen
from tests.unit.test_declaration import Folder
from tests.unit.test_secret_files import VALUE, VARIABLE, with_secret

RELEASES = (
    b'{"current": null, "unfinished": false, "releases": [], "free": 9000000000, "data_size": 0}'
)
ANSWERS = {
    "releases": RELEASES,
    "prepare": b"null",
    "restore": b'{"back": false, "data_of": null, "diff": ""}',
}


class Host:
    """Takes all, starts nothing, and quotes what it was given."""

    login = SimpleNamespace(name="vps")

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.received = b""

    def as_root(self, command: str) -> str:
        return command

    def check(self, step: str, command: str, *, stdin: bytes = b"", **_: Any) -> bytes:
        self.commands.append(command)
        self.received += stdin
        if step.startswith("start"):
            raise StepFailed(f"vps: hello refuses the token {VALUE}.")
        return ANSWERS.get(step.split(maxsplit=1)[0], b"")

    def run(self, command: str, **_: Any) -> Output:
        self.commands.append(command)
        return Output(0, f"the token {VALUE} is wrong".encode(), b"")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv(VARIABLE, VALUE)
    with_secret(Folder(tmp_path)).load()
    host = Host()

    @contextmanager
    def session(*_: Any) -> Iterator[Host]:
        yield host

    there = seen({"data": {"hello": 0, "headscale": 0, "caddy": 0}})
    monkeypatch.setattr(steps, "session_of", session)
    monkeypatch.setattr(steps, "observe", lambda *_: there)
    monkeypatch.setattr(steps, "ready_images", ready)
    monkeypatch.setattr(steps.apply, "send_images", lambda *_: None)
    monkeypatch.setattr(rollout, "locked", lambda opened, *_: nullcontext(opened))
    return host


def ready(names: Any, _kind: Any) -> dict[str, Any]:
    return {name: SimpleNamespace(image_id=f"sha256:{'0' * 64}", size=1) for name in names}


def kept_by_prefect() -> bytes:
    """The whole database, with its log."""
    url = get_current_settings().server.database.connection_url
    assert url is not None
    place = Path(url.get_secret_value().partition("///")[2])
    return b"".join(path.read_bytes() for path in place.parent.glob(f"{place.name}*"))


def test_a_secret_reaches_its_host_and_nothing_else(
    host: Host, site_name: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    request = RolloutRequest(site=site_name, stacks=("hello",), approve="any")
    state = rollout.rollout(request, return_state=True)
    assert state.name == "Failed"
    assert "hello refuses the token ***" in str(state.message)
    assert VALUE.encode() in host.received

    with get_client(sync_client=True) as client:
        told = [str(artifact.data) for artifact in client.read_artifacts()]
    assert any("the token *** is wrong" in text for text in told)
    told += [*host.commands, repr(state), caplog.text]
    assert [text for text in told if VALUE in text] == []
    assert b"the token *** is wrong" in kept_by_prefect()
    assert VALUE.encode() not in kept_by_prefect()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in left if VALUE.encode() in path.read_bytes()] == []
