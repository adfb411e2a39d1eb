"""A host's lock: who may change it, until when, and what the host answers about that."""

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from infra.model.base import Model

#: Root's own, in memory: gone at the host's next boot, which ends all that ran.
LOCK_FOLDER = "/run/meshkeeper"
#: A host that tells more than this of a lock tells no lock.
Word = Annotated[str, StringConstraints(max_length=200)]
Token = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class Holder(Model):
    """Who holds the lock. `since` is by the holder's clock, for people."""

    owner: Word
    doing: Word
    run: Word
    since: AwareDatetime

    def __str__(self) -> str:
        what = f"{self.doing}, run {self.run}" if self.run else self.doing
        return f"{self.owner} since {self.since:%Y-%m-%d %H:%M:%S} UTC ({what})"


class Claim(Model):
    """What a run asks the lock with; `lease` in seconds of the host's own boot clock.

    The token says whose lock it is. It is no secret: only root can take, renew or check a lock.
    """

    token: Token
    holder: Holder
    lease: int


class LockState(Model):
    """The host's answer. `done`: what was asked for was done; `left`: seconds of the lease.

    `at_work`: programs that a run began there, and that are still running.
    """

    done: bool
    token: Token | None
    holder: Holder | None
    left: int
    at_work: Annotated[tuple[Word, ...], Field(max_length=5)]
