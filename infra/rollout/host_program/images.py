"""Images, as the host's engine has them."""

from __future__ import annotations

import subprocess
import sys

from infra.rollout.host_program.places import Request


def put_images(images: dict[str, str]) -> None:
    """Compose knows images by name."""
    for name, number in images.items():
        if number and image_id(name) != number and docker("tag", number, name).returncode:
            sys.exit(f"the host no longer has the image {number} that was {name}")


def image_id(name: str) -> str:
    asked = docker("image", "inspect", "--format", "{{.Id}}", name)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def running_images(request: Request) -> dict[str, str]:
    """Ids by name of what the containers were made from; a name may mean another image by now."""
    found: dict[str, str] = {}
    for container, name in request["containers"].items():
        asked = docker(
            "inspect", "--type", "container", "--format", "{{.Config.Image}} {{.Image}}", container
        )
        words = asked.stdout.split() if asked.returncode == 0 else []
        made_from, number = words if len(words) == 2 else (name, image_id(name))
        found[made_from] = number
    return found


def docker(*arguments: str, seconds: int = 150) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
