"""One connection per host for a while: a login costs a second from across an ocean."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from infra.access.login import Login
from infra.access.session import Session
from infra.access.ssh import connect


class _Kept(NamedTuple):
    session: Session
    closing: ExitStack


_kept: ContextVar[dict[Login, _Kept] | None] = ContextVar("kept", default=None)


@contextmanager
def keeping_connections() -> Iterator[None]:
    """Within it `session_by` opens one connection per login, which it leaves open for the next."""
    kept: dict[Login, _Kept] = {}
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        for login in [*kept]:
            kept.pop(login).closing.close()


@contextmanager
def session_by(login: Login) -> Iterator[Session]:
    """A session on the host: over the connection that is kept, else over one of its own.

    After an error the next begins with a new one: nobody knows what is left on this. Raises like
    `connect`.
    """
    kept = _kept.get()
    if kept is None:
        with connect(login) as session:
            yield session
        return
    # Whose right the commands claim is theirs, not the connection's.
    anybody = login.model_copy(update={"lock_token": ""})
    try:
        yield _open(kept, anybody).by_lock(login.lock_token)
    except BaseException:
        if anybody in kept:
            kept.pop(anybody).closing.close()
        raise


def _open(kept: dict[Login, _Kept], login: Login) -> Session:
    if login in kept and not kept[login].session.is_open:
        kept.pop(login).closing.close()
    if login not in kept:
        closing = ExitStack()
        kept[login] = _Kept(closing.enter_context(connect(login)), closing)
    return kept[login].session
