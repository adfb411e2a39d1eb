"""Asking the person at the terminal for a yes to a plan."""

import getpass
import sys
from argparse import Namespace

from deployments.embedded.api import Api, Json
from infra.errors import BadInput
from infra.model.approval import Answer
from infra.text import printable


def require_somebody_to_ask(arguments: Namespace) -> None:
    """Raises BadInput where nobody would see the question: no run is left waiting for an answer."""
    if arguments.json:
        raise BadInput("With --json nobody is asked.", "Add --yes: it goes without asking.")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(
            "There is no terminal to ask for a yes.",
            "Add --yes: it goes without asking.",
        )


def answer_run(api: Api, run: Json) -> None:
    """Show the plan of a waiting run and answer it; somebody in the UI may have been faster."""
    text, schema = api.question(run)
    answer = ask(text, schema["properties"]["plan"]["const"])
    if not api.resume(run["id"], answer.model_dump()):
        print("The run no longer waits: it was answered elsewhere.", file=sys.stderr)


def ask(text: str, plan: str) -> Answer:
    """The answer of the person at the terminal; no answer is a no."""
    print(f"\n{printable(text)}\n", file=sys.stderr)
    said = _said("Shall this be done? [y/N] ")
    return Answer(answer="yes" if said in {"y", "yes"} else "no", name=getpass.getuser(), plan=plan)


def _said(question: str) -> str:
    """On standard error like the rest of what goes on: standard output is for the result."""
    try:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return ""
