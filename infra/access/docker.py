"""The Docker engine of the control machine."""

import os
from functools import cache

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from infra.errors import DockerUnavailable

#: Seconds that the engine may take for one answer.
TIMEOUT = 60


def engine() -> docker.DockerClient:
    """The client of the local engine ($DOCKER_HOST, or its socket), one for the whole process.

    Raises DockerUnavailable when none answers.
    """
    try:
        client = _client(os.environ.get("DOCKER_HOST"))
        client.ping()
    except (DockerException, RequestException, ValueError) as error:
        raise DockerUnavailable(
            f"No Docker engine answers on the control machine ({_last_cause(error)}).",
            "Install it (apt install docker.io) or start it (systemctl start docker); "
            "`docker info` must work for this user, with your $DOCKER_HOST.",
        ) from None
    return client


@cache
def _client(_host: str | None) -> docker.DockerClient:
    # More connections than threads that ask at once, so that none is thrown away.
    return docker.from_env(timeout=TIMEOUT, max_pool_size=32)


def _last_cause(error: BaseException) -> str:
    """The innermost reason: the SDK wraps an OSError several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error)[:200]
