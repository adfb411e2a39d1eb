"""Reading what a service answers. It comes from the host, which is a suspect. Pure."""

import json
import re
from typing import Any

from infra.model.declaration import Question
from infra.rollout.waiting import NotYet


def right_answer(question: Question, status: int, body: bytes) -> str:
    """What was found. Raises NotYet for another answer than the question's."""
    if status != question.status:
        raise NotYet(f"{question.url} answers {status}.")
    shown = json_object(body) if question.shows else {}
    for field, value in question.shows.items():
        if shown.get(field) != value:
            raise NotYet(f"{question.url} does not show {field}: {value}.")
    return ", ".join([str(status), *(f"{f}: {v}" for f, v in question.shows.items())])


def public_key(body: bytes) -> str:
    """The server's key out of the answer of /key. Raises NotYet."""
    key = json_object(body).get("publicKey")
    if not isinstance(key, str) or not re.fullmatch("mkey:[0-9a-f]{64}", key):
        raise NotYet("It shows no server key.")
    return key


def json_object(body: bytes) -> dict[str, Any]:
    """Raises NotYet for what is no JSON; empty for what is no object."""
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotYet("It answers something that is no JSON.") from error
    return loaded if isinstance(loaded, dict) else {}
