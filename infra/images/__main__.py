"""`python -m infra.images ensure NAME… | --lab | --all`: have images and tools ready."""

import argparse
import sys
import time

from docker.errors import DockerException

from infra.errors import CouldNotRun, MeshkeeperError
from infra.images.catalog import LAB_IMAGES, SUITE_IMAGES
from infra.images.ensure import ensure_images
from infra.images.tools import restic_path


def main() -> int:
    """Exit codes as everywhere: 0 done, 3 could not run."""
    try:
        return _run(_parser().parse_args())
    except MeshkeeperError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (OSError, DockerException) as error:
        print(f"This machine refused: {error}", file=sys.stderr)
        return CouldNotRun.exit_code


def _run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    names = list(SUITE_IMAGES) if arguments.all else [*arguments.names]
    names += LAB_IMAGES if arguments.lab else ()
    ids = ensure_images(names, _progress)
    restic_path()
    print(f"    {len(ids)} images and restic are ready ({time.monotonic() - started:.1f} s)")
    return 0


def _progress(line: str) -> None:
    """One write, so that lines of two builds don't mix."""
    sys.stdout.write(f"    {line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.images", description=__doc__)
    ensure = parser.add_subparsers(required=True).add_parser("ensure", help="images, and restic")
    ensure.add_argument("names", nargs="*", metavar="NAME", help="as compose files name them")
    ensure.add_argument("--lab", action="store_true", help="all that a lab runs")
    ensure.add_argument("--all", action="store_true", help="all that the test suite needs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
