"""The bootstrap scripts, in a copy of the tree, with a PATH on which only what a case wants is."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "deployments" / "bootstrap"
#: Of the system, what the scripts use; all else is missing, or what a case makes it.
SYSTEM = ("sh", "dirname", "awk", "cat", "cut", "date", "flock", "id", "mkdir", "sed", "sort",
          "sha256sum", "grep", "cp", "mktemp", "true", "rm", "tail", "env", "sleep", "chmod", "setsid", "printf")  # fmt: skip


@dataclass
class Tree:
    """A checkout's scripts; `says` puts a program on their PATH."""

    root: Path

    def says(self, program: str, script: str) -> None:
        path = self.root / "bin" / program
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, script: str, *arguments: str) -> tuple[int, str]:
        """Exit code, and all that was said."""
        done = subprocess.run(
            ["sh", str(self.root / "deployments/bootstrap" / script), *arguments],
            env={
                "PATH": str(self.root / "bin"),
                "HOME": str(self.root / "home"),
                "TMPDIR": str(self.root),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A machine with Python, free space, and every tool; each case takes something away."""
    shutil.copytree(SCRIPTS, tmp_path / "deployments" / "bootstrap")
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir()
    for name in SYSTEM:
        found = shutil.which(name)
        if found:
            (tmp_path / "bin" / name).symlink_to(found)
    made = Tree(tmp_path)
    made.says("python3", "exit 0")
    made.says("df", "printf 'x\\n/dev/x 1 1 90000 1%% /\\n'")
    made.says("docker", "exit 0")
    for tool in ("dockerd", "iptables", "debootstrap", "ssh", "chromium"):
        made.says(tool, "exit 0")
    return made


def refused(answer: tuple[int, str]) -> str:
    """The one sentence, which is the last line."""
    code, said = answer
    assert code == 3, said
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("meshkeeper: ")
    return last.removeprefix("meshkeeper: ")


def test_a_machine_with_all_tools_is_left_as_it_is(tree: Tree) -> None:
    assert tree.run("tools.sh", "chromium") == (0, "")


def test_an_old_python_is_one_sentence(tree: Tree) -> None:
    tree.says("python3", "exit 1")
    assert refused(tree.run("tools.sh")).startswith("Python 3.11 or newer is needed")


def test_a_full_disk_is_one_sentence(tree: Tree) -> None:
    tree.says("df", "printf 'x\\n/dev/x 1 1 500 1%% /\\n'")
    assert refused(tree.run("tools.sh")).startswith("only 500 MB are free here")


def test_what_is_missing_is_named_and_without_apt_that_is_all(tree: Tree) -> None:
    (tree.root / "bin" / "chromium").unlink()
    code, said = tree.run("tools.sh", "chromium")
    assert "chromium is missing: opens the UI in the browser tests" in said
    assert "no apt" in refused((code, said))


def test_the_emulator_is_asked_for_by_what_needs_it_only(tree: Tree) -> None:
    assert tree.run("tools.sh") == (0, "")
    _, said = tree.run("tools.sh", "qemu")
    assert "qemu-system-x86_64 is missing: emulates a machine with a kernel of its own" in said


def test_what_is_missing_is_installed_from_debian(tree: Tree) -> None:
    (tree.root / "bin" / "chromium").unlink()
    tree.says("apt-get", f'echo "$@" >> {tree.root}/asked')
    tree.says("sudo", 'exec "$@"')
    code, said = tree.run("tools.sh", "chromium")
    assert code == 0, said
    assert "installing from Debian: chromium …" in said
    assert "install" in (tree.root / "asked").read_text()


def test_a_package_index_out_of_reach_is_one_sentence(tree: Tree) -> None:
    (tree.root / "bin" / "chromium").unlink()
    tree.says("apt-get", "exit 100")
    tree.says("sudo", 'exec "$@"')
    assert "is Debian's package index reachable?" in refused(tree.run("tools.sh", "chromium"))


def test_lists_that_another_apt_holds_are_waited_for(tree: Tree) -> None:
    (tree.root / "bin" / "chromium").unlink()
    held = f"[ -e {tree.root}/freed ] || [ $1 != update ]"
    complaint = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)"
    tree.says("apt-get", f"{held} || {{ echo '{complaint}' >&2; exit 100; }}")
    tree.says("sleep", f"echo >{tree.root}/freed")
    tree.says("sudo", 'exec "$@"')
    assert tree.run("tools.sh", "chromium")[0] == 0


def test_neither_root_nor_sudo_is_one_sentence(tree: Tree) -> None:
    (tree.root / "bin" / "chromium").unlink()
    tree.says("apt-get", "exit 0")
    tree.says("id", "echo 1000")
    assert "needs root" in refused(tree.run("tools.sh", "chromium"))


def test_an_engine_that_is_too_old_is_one_sentence(tree: Tree) -> None:
    tree.says("docker", '[ "$1" = info ] || echo 19.03.5')
    assert refused(tree.run("engine.sh")).startswith("Docker's engine is 19.03.5, 20.10 or newer")


def test_an_engine_that_does_not_start_is_one_sentence(tree: Tree) -> None:
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112
        tree.says("systemctl", "exit 1")
    tree.says("docker", "exit 1")
    tree.says("sudo", 'exec "$@"')
    tree.says("sleep", "exit 0")
    assert "Docker's engine does not answer" in refused(tree.run("engine.sh"))


def test_a_python_index_out_of_reach_is_one_sentence(tree: Tree) -> None:
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        (tree.root / name).write_text(name)
    tree.says("pip", "echo 'ERROR: no matching distribution' >&2; exit 1")
    make = f"mkdir -p .venv/bin; cp {tree.root}/bin/pip .venv/bin/"
    tree.says("python3", f'case "$*" in "-m venv"*) {make};; esac')
    said = refused(tree.run("venv.sh", "requirements.lock"))
    assert said.startswith("the Python environment can't be made: ERROR: no matching")
    assert "Is the package index reachable?" in said


def test_the_caches_are_not_emptied_beneath_a_lab(tree: Tree) -> None:
    (tree.root / "build" / "lab").mkdir(parents=True)
    assert "make lab-down" in refused(tree.run("clean.sh"))
    assert (tree.root / "build" / "lab").exists()
