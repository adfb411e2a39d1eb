"""Every error meshkeeper raises on purpose.

MeshkeeperError
├── BadInput            exit 2: nothing was touched
│   └── NotApproved         a person said no to a plan, or nobody said yes in time
├── CouldNotRun         exit 3: we don't know; try again when the cause is gone
│   ├── Unreachable         no SSH or HTTPS connection to a host
│   ├── LoginRefused        a host does not accept our key: a second try only gets us banned
│   ├── HostKeyMismatch     a host showed another key than the pinned one
│   ├── HostLocked          another run is at work on a host: nothing was touched there
│   ├── LockLost            the host's lock is no longer this run's: it changes nothing more
│   ├── ToolMissing         a program on the control machine is missing or too old
│   ├── DockerUnavailable   no Docker engine answers on the control machine
│   ├── ImageUnavailable    an image can be neither pulled nor built
│   └── RepositoryUnavailable   restic can't open the repository (path, password, lock)
└── Failed              exit 1: it ran, and the result is bad
    ├── StepFailed          a command on a host failed
    ├── LockOutPrevented    a guarded change was not confirmed and was reverted
    ├── GateFailed          a service did not become healthy; the old state is back
    ├── BackupFailed        a snapshot lacks something it must hold
    └── RehearsalFailed     a new version does not serve the site's data; nothing was touched
"""

from infra.text import printable


class MeshkeeperError(Exception):
    """What happened, where, and what to do next, in one readable sentence or two.

    `message` states the fact and the place; `hint` (may be empty) the next step. Both may quote a
    host, so what a terminal would act on is taken out.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = printable(message)
        self.hint = printable(hint)
        super().__init__(self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(MeshkeeperError):
    exit_code = 2


class NotApproved(BadInput):
    pass


class CouldNotRun(MeshkeeperError):
    exit_code = 3


class Unreachable(CouldNotRun):
    pass


class LoginRefused(CouldNotRun):
    pass


class HostKeyMismatch(CouldNotRun):
    pass


class HostLocked(CouldNotRun):
    pass


class LockLost(CouldNotRun):
    pass


class ToolMissing(CouldNotRun):
    pass


class DockerUnavailable(CouldNotRun):
    pass


class ImageUnavailable(CouldNotRun):
    pass


class RepositoryUnavailable(CouldNotRun):
    pass


class Failed(MeshkeeperError):
    exit_code = 1


class StepFailed(Failed):
    pass


class LockOutPrevented(Failed):
    pass


class GateFailed(Failed):
    pass


class BackupFailed(Failed):
    pass


class RehearsalFailed(Failed):
    pass
