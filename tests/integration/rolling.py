"""Rolling out other wishes than the site's: a change of the site file, and its undoing."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from deployments.lab.boot import Lab
from deployments.lab.command import ask_meshkeeper

HEADSCALE = "/home/linuxuser/docker/vps/networking/headscale"
POLLS, STOP = "/tmp/polls", "/tmp/polls-stop"
#: Each line: status and seconds of one request; three a second or more.
POLL = """rm -f {polls} {stop}
while [ ! -e {stop} ]; do
    curl -s -o /dev/null -m 20 -w '%{{http_code}} %{{time_total}}\\n' {url} >> {polls}
    sleep 0.05
done"""
Edit = Callable[[dict[str, Any]], object]


@contextmanager
def site_changed(lab: Lab, edit: Edit) -> Iterator[None]:
    """The site file as `edit` wants it; afterwards as it was, and rolled out so."""
    before = lab.plan.site_file.read_text()
    values = yaml.safe_load(before)
    edit(values)
    lab.plan.site_file.write_text(yaml.safe_dump(values))
    try:
        yield
    finally:
        lab.plan.site_file.write_text(before)
        roll_out(lab)


def roll_out(lab: Lab) -> dict[str, Any]:
    """The report of a rollout that must succeed."""
    answer, status = ask_meshkeeper(lab.plan, "rollout", "--yes")
    assert status == 0, answer
    report: dict[str, Any] = answer["report"]
    return report


def kinds(report: dict[str, Any]) -> list[str]:
    """What was changed: `caddy.reload`."""
    return [
        f"{plan['target'].split('.')[-1]}.{change['kind']}"
        for plan in report["plan"]["stacks"].values()
        for change in plan["changes"]
    ]


def server_key(lab: Lab) -> str:
    """As the observer sees it: through DNS, certificates and Caddy."""
    answer = lab.observer.check("curl", "-sS", "-m", "20", f"{lab.site.server_url}/key?v=113")
    return str(json.loads(answer)["publicKey"])


def keys_on_host(lab: Lab) -> str:
    """The keys that headscale made, by content."""
    return lab.vps.check("sh", "-c", f"sha256sum {HEADSCALE}/data/*.key")


@contextmanager
def polled(lab: Lab, url: str) -> Iterator[list[tuple[str, float]]]:
    """Steady requests from the observer meanwhile; afterwards status and seconds of each."""
    script = POLL.format(url=url, polls=POLLS, stop=STOP)
    polling = threading.Thread(
        target=lab.observer.run, args=("sh", "-c", script), kwargs={"timeout": 300}
    )
    answers: list[tuple[str, float]] = []
    polling.start()
    try:
        yield answers
    finally:
        lab.observer.check("touch", STOP)
        polling.join()
    for line in lab.observer.check("cat", POLLS).splitlines():
        status, seconds = line.split()
        answers.append((status, float(seconds)))


def failed(answers: list[tuple[str, float]]) -> Counter[str]:
    """Requests that were not answered 200, by status (000: no answer)."""
    return Counter(status for status, _ in answers if status != "200")
