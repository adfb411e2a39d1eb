"""`unlock`: who holds a host's lock, what taking it away means, and after a yes it is gone."""

from argparse import Namespace

from deployments.cli.answer import Answer
from deployments.cli.flow import only_host
from infra.errors import BadInput
from infra.host.lock import locked, release, shown
from infra.host.provision import Target, way_in
from infra.model.lock import LockState
from infra.settings import load_settings
from infra.site_file import load_site
from infra.text import printable


def run(arguments: Namespace) -> Answer:
    """Raises BadInput, with the lock left as it is, after any other answer than yes."""
    settings = load_settings(arguments.site)
    site = load_site(settings.site)
    target = Target(settings, site, arguments.host or only_host(site))
    with way_in(target) as session:
        state, target = shown(session), target._replace(user=session.login.user)
    if state.token is None:
        return _answer(target.host, state, _free(target.host, state))
    if not arguments.yes:
        _ask(target.host, state, interactive=not arguments.json)
    # No connection is kept while a person thinks.
    with way_in(target) as session:
        removed = release(session, state.token)
    text = f"The lock of {target.host} is removed; it was held by {state.holder}."
    if not removed:
        text = f"Nothing was removed: meanwhile that run has let go of {target.host} by itself."
    return _answer(target.host, state.model_copy(update={"done": removed}), text)


def _free(host: str, state: LockState) -> str:
    if not state.at_work:
        return f"No run holds the lock of {host}."
    # The lock is free, and cannot be taken: there is nothing that we could remove.
    error = locked(host, state)
    return f"No run holds the lock of {host}, but {error.message} {error.hint}"


def _ask(host: str, state: LockState, *, interactive: bool) -> None:
    question = (
        f"{host} is locked by {state.holder}; its lease runs for {state.left} s more.\n"
        "The lock of a dead run goes by itself when its lease is over: usually you need only wait.\n"
        "A living one loses its right to change the host: what it is just doing there goes on to its\n"
        "end, its next step is refused, and what is half done is finished by the next run.\n"
        "Take the lock away? y/N: "
    )
    if not interactive or _said(printable(question)) not in {"y", "yes"}:
        raise BadInput(f"The lock of {host} is left as it is.", "Answer y, or say --yes.")


def _said(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""


def _answer(host: str, state: LockState, text: str) -> Answer:
    """`show` is done, too, where nobody holds the lock: nothing was removed there."""
    removed = state.done and state.token is not None
    holder = state.holder.model_dump(mode="json") if state.holder else None
    at_work = list(state.at_work)
    return Answer(text, {"host": host, "holder": holder, "at_work": at_work, "removed": removed})
