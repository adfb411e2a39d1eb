"""A change that checks its run's right on the host itself, in the same round trip, before it begins."""

import re
from shlex import quote

from pydantic import ValidationError

from infra.errors import LockLost
from infra.model.lock import LOCK_FOLDER, Holder

#: The exit status and the first word of a change that was not begun; no program of the host ends so.
STATUS = 113
MARK = "meshkeeper-lock-lost:"
#: Seconds for which a run that is just taking the lock is waited for.
_TAKING = 10
# The shared lock on `changing` is taken first and kept as long as the change runs: nobody can become
# the holder between the check and the end of it. Reading is the shell's own, which takes no time.
_CHECKED = """\
lost() {{ echo "{mark} $1 $holder" >&2; exit {status}; }}
holder=
[ -e {folder}/changing ] || lost gone
exec 9<{folder}/changing
# What this run itself began over a connection that was cut is waited for.
flock -s -w {taking} 9 || {{
    read -r token until boot <{folder}/lock && [ "$token" = {token} ] && flock -s 9
}} 2>/dev/null || lost other
{{ read -r token until boot; read -r holder; }} 2>/dev/null <{folder}/lock || lost gone
[ "$token" = {token} ] || lost other
read -r this </proc/sys/kernel/random/boot_id
read -r now rest </proc/uptime
[ "$boot" = "$this" ] && [ "${{now%.*}}" -lt "$until" ] || lost expired
exec {command}"""
_SAID = re.compile(rf"^{MARK} (gone|other|expired) ?(.*)$", re.MULTILINE)


def checked(command: str, token: str) -> str:
    """`command` (one simple command, for root) as one that runs only while the lock is `token`'s.

    The token may stand in a process list: who is not root there can do nothing with it.
    """
    script = _CHECKED.format(
        mark=MARK,
        status=STATUS,
        folder=LOCK_FOLDER,
        taking=_TAKING,
        token=token,
        command=command,
    )
    return f"sh -c {quote(script)}"


def refused(host: str, step: str, status: int, errors: bytes) -> LockLost | None:
    """The error of a command that was not begun, since the lock is no longer its run's."""
    said = _SAID.search(errors.decode(errors="replace"))
    if status != STATUS or said is None:
        return None
    why, holder = said[1], _holder(said[2])
    reasons = {
        "gone": "somebody removed it by `meshkeeper unlock`, it ran out and another run has come and gone, "
        "or the host booted anew",
        "expired": "it could not be renewed in time",
        "other": f"it is now held by {holder}" if holder else "it is now another run's",
    }
    return LockLost(
        f"{host}: {step}: not done, since this run no longer holds the host's lock: {reasons[why]}.",
        "Once no other run is at work there, start again: it goes on where this one ended.",
    )


def _holder(text: str) -> Holder | None:
    try:
        return Holder.model_validate_json(text)
    except ValidationError:
        return None
