"""The commands and their arguments."""

import argparse
from pathlib import Path

EPILOG = """\
exit codes:
  0  done: in order, verified
  1  failed (the drill says: bad backup)
  2  bad input, nothing was touched
  3  could not run: unreachable, locked, a tool missing
  4  only 'plan --check': there are changes
"""

COMMANDS = {
    "init": "write an annotated site file, its JSON schema, and a secrets file",
    "doctor": "is everything there that the flows need, and what to do if not",
    "plan": "what would change on the site's hosts; changes nothing",
    "up": "start the control plane: Prefect server, UI and one worker",
    "down": "stop the control plane",
    "status": "what of the control plane runs, and what ran last",
    "provision": "bring a host to its desired state: hardened, with Docker",
    "rollout": "bring the site's stacks to their desired state",
    "rollback": "list a stack's releases, or go back to one: files, images, data",
    "backup": "take, verify and store a snapshot of headscale",
    "drill": "prove that a snapshot brings the mesh back",
    "rehearse": "try another version of headscale on the newest snapshot, in isolation",
    "audit": "how the hosts are, item by item, and what to do; changes nothing",
    "outdated": "which wanted versions are older than the newest, where an index can be asked",
    "unlock": "take a host's lock away from a run that hangs; a dead one's goes by itself",
    "device-key": "make a key that lets one new device join the mesh",
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parsed arguments; exits with 2 and a usage line where they make no sense."""
    return build_parser().parse_args(arguments)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meshkeeper",
        description="Keeps a Headscale mesh alive from one small VPS, and proves its backup.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    added = {name: _add(commands, name, text) for name, text in COMMANDS.items()}
    _add_options(added)
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--site", type=Path, metavar="FILE", help="site file (default: $MESHKEEPER_SITE, site.yaml)"
    )
    command.add_argument("--json", action="store_true", help="answer as JSON")
    return command


def _add_options(commands: dict[str, argparse.ArgumentParser]) -> None:
    commands["plan"].add_argument(
        "--check", action="store_true", help="exit with 4 where there are changes"
    )
    commands["up"].add_argument(
        "--install", action="store_true", help="also start it at boot, by a systemd user unit"
    )
    for name in ("provision", "unlock"):
        commands[name].add_argument(
            "--host", help="the host's name in the site file (default: its only one)"
        )
    commands["unlock"].add_argument("--yes", action="store_true", help="do not ask")
    commands["rollout"].add_argument(
        "--stack",
        action="append",
        metavar="NAME",
        help="only this stack of the site file (may be repeated; default: all)",
    )
    _add_rollback(commands["rollback"])
    commands["rollout"].add_argument(
        "--yes", action="store_true", help="go without asking, whatever would change"
    )
    commands["rollout"].add_argument(
        "--through-minors",
        action="store_true",
        help="where the wanted headscale skips minors: roll out each between first, one by one",
    )
    commands["drill"].add_argument(
        "--snapshot", default="latest", metavar="ID", help="latest, or such as 20261123T120000Z"
    )
    commands["rehearse"].add_argument(
        "--to", default="wanted", metavar="VERSION", help="default: the site file's version"
    )
    commands["device-key"].add_argument("user", help="a user of the site file")


def _add_rollback(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--to", metavar="RELEASE", help="such as 20261127T093000Z; else: list them"
    )
    command.add_argument("--stack", default="headscale", metavar="NAME", help="default: headscale")
    command.add_argument(
        "--with-data",
        action="store_true",
        help="the data too where the version alone does not demand it",
    )
    command.add_argument("--yes", action="store_true", help="go without asking")
