"""Whether a release fits the disk of its host, before anything of it is sent. Pure."""

from infra.errors import CouldNotRun
from infra.model.release import HostReleases
from infra.planning.rollback import megabytes

#: Bytes that stay free: for logs, and for the database to grow.
MARGIN = 256_000_000
#: The engine unpacks an archive beside the image that it becomes.
TIMES_IMAGES = 2
#: The sidecar's archive, the release's copy of it, and the folder that is made of it to go back.
TIMES_DATA = 3


def require_room(host: str, there: HostReleases, files: int, images: int) -> None:
    """`files` and `images` in bytes: what a rollout would bring.

    Raises CouldNotRun with the numbers. Counted as if the data were kept each time.
    """
    needed = files + TIMES_IMAGES * images + TIMES_DATA * there.data_size + MARGIN
    if needed <= there.free:
        return
    raise CouldNotRun(
        f"{host} has {megabytes(there.free)} of disk left, and a rollout needs {megabytes(needed)}: "
        f"{megabytes(images)} of images, twice while they are unpacked, {megabytes(there.data_size)} of "
        f"data, three times to keep and put back, and {megabytes(MARGIN)} that stay free. "
        "Nothing was touched.",
        "`df -h` on the host shows where there is room; the runbook (No space left) what may go.",
    )
