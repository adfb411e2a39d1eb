"""A stack's releases on its host: made, gone back to, looked at, each in one round trip."""

from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from infra.access import bundle
from infra.access.session import Session
from infra.errors import StepFailed
from infra.model.base import Model
from infra.model.release import BringRelease, HostReleases, ReleaseId, ReplaceData
from infra.model.snapshot import Manifest, SnapshotId
from infra.model.stack import RenderedStack
from infra.rollout.secret_files import masked
from infra.text import excerpt

PACKAGE = "infra.rollout.host_program"
#: Of that package; each uses only those before it.
CHANGES = (
    "places", "disk", "archive", "images", "releases", "files", "data", "difference", "change",
)  # fmt: skip
LOOKS = ("places", "disk", "archive", "look")
#: Seconds: a snapshot is taken, or a folder of data is replaced.
PATIENCE = 300
#: Bytes of the host's answer: a manifest of ten thousand nodes.
LONGEST = 8 * 1024 * 1024
#: Of what failed, in a report. The host holds itself to fewer.
DIFF_LINES = 250
Answer = TypeVar("Answer", bound=BaseModel)


def _bounded(diff: str) -> str:
    return excerpt(diff, lines=DIFF_LINES)


class Restored(Model):
    """What was put back on the host."""

    back: bool
    data_of: SnapshotId | None
    diff: Annotated[str, AfterValidator(_bounded)] = Field(
        description="What the release that failed had otherwise than the one that serves."
    )


def prepare(session: Session, stack: RenderedStack, *, migrates: bool) -> None:
    """Make a release of the wanted files, keep the data where it `migrates`, put the files in place."""
    files = {path: file.content for path, file in stack.written.items()}
    _change(session, stack, {"step": "prepare", "files": files, "snapshot": migrates})


def bring(session: Session, stack: RenderedStack, change: BringRelease) -> None:
    """The same with files and images of an earlier release."""
    asked = {"step": "prepare", "release": change.release, "snapshot": change.snapshot}
    _change(session, stack, asked)


def replace_data(session: Session, stack: RenderedStack, change: ReplaceData) -> None:
    """Stop the stack, and put the data in place that lay there before a release."""
    _change(session, stack, {"step": "exchange", "data_of": change.data_of})


def restore(session: Session, stack: RenderedStack) -> Restored:
    """Files, images and, where they were kept, data as the last release had them that served."""
    restored = _told(session, stack, Restored, _change(session, stack, {"step": "restore"}))
    # A secret may have stood in a template before it was declared as one.
    diff = masked(restored.diff, stack.secrets.values())
    return restored.model_copy(update={"diff": diff})


def commit(session: Session, stack: RenderedStack) -> None:
    """The gate has passed: from now on this is the release to come back to. The oldest go."""
    _change(session, stack, {"step": "commit"})


def drop(session: Session, stack: RenderedStack) -> None:
    """Forget the release that did not serve, with images that no other needs."""
    _change(session, stack, {"step": "drop"})


def releases(session: Session, stack: RenderedStack) -> HostReleases:
    """Those that lie there, and the room for another; changes nothing."""
    return _told(session, stack, HostReleases, _run(session, LOOKS, stack, {"step": "releases"}))


def manifest(session: Session, stack: RenderedStack, release: ReleaseId) -> Manifest:
    """Of the data from before a release. Raises StepFailed, also for one that makes no sense."""
    asked = {"step": "manifest", "data_of": release}
    return _told(session, stack, Manifest, _run(session, LOOKS, stack, asked))


def _change(session: Session, stack: RenderedStack, asked: dict[str, Any]) -> bytes:
    return _run(session, CHANGES, stack, asked)


def _run(
    session: Session, modules: tuple[str, ...], stack: RenderedStack, asked: dict[str, Any]
) -> bytes:
    request = {
        "stack": stack.name,
        "admin": stack.admin,
        "directory": str(stack.directory),
        "folders": {str(folder): mode for folder, mode in stack.folders.items()},
        "paths": sorted(stack.written),
        "containers": stack.container_images,
        "server": None,
        **(stack.snapshot.model_dump(mode="json") if stack.snapshot else {}),
        "backups": str(PurePosixPath("/home", stack.admin, "backups", stack.name)),
        "release": None,
        "files": {},
        "snapshot": False,
        **asked,
    }
    try:
        return session.check(
            f"{request['step']} of {stack.name}",
            session.as_root("python3 -I -"),
            stdin=bundle.program(PACKAGE, modules, request),
            timeout=PATIENCE,
            limit=LONGEST,
        )
    except StepFailed as error:
        # A host's Python may quote the program that it was sent.
        raise StepFailed(masked(error.message, stack.secrets.values()), error.hint) from None


def _told(session: Session, stack: RenderedStack, form: type[Answer], output: bytes) -> Answer:
    try:
        return form.model_validate_json(output)
    except ValidationError as error:
        raise StepFailed(
            f"{session.login.name}: {stack.name}: the host's answer on its releases makes no sense."
        ) from error
