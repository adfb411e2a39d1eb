"""A handle on a running container of the lab: run a program in it, as if sitting at it."""

from dataclasses import dataclass

from docker.models.containers import Container

from deployments.lab.engine import put_files
from deployments.lab.part import File
from infra.errors import StepFailed


@dataclass(frozen=True)
class Answer:
    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Machine:
    """One of the lab's machines; `address` is the one on its own network."""

    container: Container
    address: str

    @property
    def name(self) -> str:
        return str(self.container.name)

    def run(self, *argv: str, timeout: int = 60) -> Answer:
        """Run a program; status 124 when it took more than `timeout` seconds."""
        result = self.container.exec_run(["timeout", str(timeout), *argv], demux=True)
        stdout, stderr = (_text(stream) for stream in result.output)
        return Answer(status=int(result.exit_code or 0), stdout=stdout, stderr=stderr)

    def check(self, *argv: str, timeout: int = 60) -> str:
        """Run a program and return its output. Raises StepFailed when its status is not 0."""
        answer = self.run(*argv, timeout=timeout)
        if answer.status != 0:
            last = (answer.stderr or answer.stdout).strip().splitlines()[-5:]
            raise StepFailed(
                f"{self.name}: {argv[0]} ended with status {answer.status}: {' | '.join(last)}"
            )
        return answer.stdout

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        put_files(self.container, [File(path=path, content=content, mode=mode)])


def _text(stream: object) -> str:
    return stream.decode(errors="replace") if isinstance(stream, bytes) else ""
