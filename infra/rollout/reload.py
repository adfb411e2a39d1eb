"""Lets a running container take over its files, while new connections wait at the host's door.

Caddy's reload sets a new server beside the old one, on sockets of its own, and shuts the old one down.
The kernel then resets what the old one had not accepted; Go closes a connection without an answer whose
first request it had not read (net/http, `conn.serve`), and HTTP/2 breaks off in the same moment: under
load each reload lost one request or two. So for a moment nobody connects: first packets are dropped,
which their senders repeat after a second (RFC 6298, 2.1), and who had come before has time to ask.
"""

import shlex

from infra.access.session import Session
from infra.model.declaration import Reload
from infra.model.stack import RenderedStack

#: Seconds: two round trips across half the world, in which a connection that has begun asks its
#: first question. With the reload itself it stays below the second after which senders try again.
DRAIN = 0.5
#: Seconds after which the host opens the door by itself, whatever became of us.
LONGEST = 3
_TABLE = "inet meshkeeper_reload"
#: The table is made first so that it can be deleted: one that was left behind is replaced.
_HELD = """\
nft -f - <<'END'
table {table}
delete table {table}
table {table} {{
  set held {{ type inet_service; flags timeout; elements = {{ {elements} }}; }}
  chain incoming {{
    type filter hook prerouting priority raw;
    fib daddr type local tcp flags & (syn | ack) == syn tcp dport @held drop
  }}
}}
END
sleep {drain}
{command}
status=$?
nft delete table {table}
exit $status
"""


def reload_stack(session: Session, stack: RenderedStack) -> None:
    """Let it take over its files; nothing for a stack that can't."""
    if stack.reload:
        script = reloading(stack.reload)
        session.check(f"reload {stack.name}", session.as_root("sh -s"), stdin=script.encode())


def reloading(how: Reload) -> str:
    """The script for the host: it ends as the reload does, also where no port can be held."""
    command = shlex.join(("docker", "exec", how.container, *how.command))
    if not how.holds:
        return command
    elements = ", ".join(f"{port} timeout {LONGEST}s" for port in how.holds)
    return _HELD.format(table=_TABLE, elements=elements, drain=DRAIN, command=command)
