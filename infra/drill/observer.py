"""Two small observers: one inside the isolated network, one with no network at all."""

from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from infra.drill import front, server
from infra.drill.config import HOME
from infra.drill.containers import Recipe, create, execute, put
from infra.drill.world import World
from infra.errors import StepFailed
from infra.model.snapshot import DATABASE, Text

_INSIDE, _COUNTER = "observer", "counter"
_VOLUME = "/snapshot"
_SLEEP = ("python3", "-c", "import signal; signal.pause()")


class Rows(BaseModel):
    """What SQLite says of a database file."""

    tables: dict[Text, int] = Field(default={}, max_length=200)
    problem: Text = ""


def start(world: World, image: str, folder: Path) -> None:
    """Start both; the counter gets the restored database, untouched by any server.

    It sees the one that the server works with, too, and can't write to it.
    """
    inside = Recipe(image=image, entrypoint=_SLEEP, read_volumes={front.ROLE: front.ROOT_FOLDER})
    create(world, _INSIDE, inside).start()
    counting = Recipe(
        image=image,
        entrypoint=_SLEEP,
        volumes={_COUNTER: _VOLUME},
        read_volumes={server.RESTORED: HOME},
        networked=False,
    )
    counter = create(world, _COUNTER, counting)
    database = folder / DATABASE
    put(counter, _VOLUME, {DATABASE: database} if database.is_file() else {})
    counter.start()


def server_key(world: World) -> str:
    """`mkey:…` of the restored server, as a client gets it. Raises StepFailed."""
    return _asked(world, "key")


def relay_key(world: World) -> str:
    """The restored relay's public key (64 hex digits) on the wire. Raises StepFailed."""
    return _asked(world, "relay")


def rows(world: World) -> Rows:
    """Rows per table of the restored file. Raises StepFailed."""
    return _counted(world, f"{_VOLUME}/{DATABASE}", "immutable=1")


def served_rows(world: World) -> Rows:
    """Rows per table of the database that the restored server works with. Raises StepFailed."""
    return _counted(world, f"{HOME}/{DATABASE}", "mode=ro")


def _counted(world: World, path: str, mode: str) -> Rows:
    output = execute(world, _COUNTER, ("python3", "-c", _program("rows.py"), path, mode))
    try:
        return Rows.model_validate_json(output)
    except ValidationError:
        raise StepFailed("The rows of the restored database could not be counted.") from None


def _asked(world: World, what: str) -> str:
    command = ("python3", "-c", _program("ask.py"), what, world.host_name, front.ROOT)
    return execute(world, _INSIDE, command).decode(errors="replace").strip()[:200]


def _program(name: str) -> str:
    return (files("infra.drill.programs") / name).read_text()
