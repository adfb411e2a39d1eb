"""Where a stack's releases and data lie on its host.

    releases/STACK/ID/files/        the rendered files
    releases/STACK/ID/release.json  the ids of its images
    releases/STACK/ID/before.tar    the data as it was before, where this release may have changed it
    releases/STACK/ID/before/       instead, the data of a server that no longer ran, as they lay there
    releases/STACK/current          which one serves: the last whose gate has passed

Releases that are newer than `current` are unfinished, of which the newest counts. A mark beside the
stack's files says so to the next plan; it stands there from the first change until the gate.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HOME = Path("/var/lib/meshkeeper/releases")
PENDING = ".rollout-pending"
#: Releases that are kept beside the one that serves.
KEPT = 5
BEFORE, ABOUT, FILES, CURRENT = "before.tar", "release.json", "files", "current"
AS_IT_LAY = "before"
#: In an unfinished release: its data are being exchanged, and `before.tar` holds the right ones.
EXCHANGING = "exchanging"
#: Of a stack's files: their values are shown to nobody.
SECRETS = "secrets/"
ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")

Request = dict[str, Any]


def home(request: Request) -> Path:
    return HOME / str(request["stack"])


def pending(request: Request) -> Path:
    return Path(request["directory"]) / PENDING


def data(request: Request) -> Path:
    return Path(request["directory"]) / "data"


def beside_data(request: Request, word: str) -> Path:
    return Path(request["directory"]) / f"data.{word}"
