"""Where Debian's packages come from is read from this machine's apt."""

from pathlib import Path

import pytest

from infra.errors import ImageUnavailable
from infra.images.debian import mirrors

MAIN = "Debian bookworm http://mirror.example/debian/\n"
UPDATES = "Debian bookworm-updates http://mirror.example/debian/\n"
SECURITY = "Debian bookworm-security http://mirror.example/debian-security/\n"
STRANGER = "Example bookworm http://packages.example/apt/\n"


def test_the_mirror_and_its_security_suite_are_found() -> None:
    found = mirrors(STRANGER + SECURITY + UPDATES + MAIN)
    assert found == ["http://mirror.example/debian/", "http://mirror.example/debian-security/"]


def test_a_machine_without_the_security_suite_gives_one_mirror() -> None:
    assert mirrors(MAIN + UPDATES) == ["http://mirror.example/debian/"]


def test_a_list_of_mirrors_is_followed(tmp_path: Path) -> None:
    (tmp_path / "debian.list").write_text("# nearest first\nhttp://near.example/debian\n")
    assert mirrors(f"Debian trixie mirror+file:{tmp_path}/debian.list/\n") == [
        "http://near.example/debian"
    ]


def test_packages_of_others_are_no_debian_mirror() -> None:
    with pytest.raises(ImageUnavailable, match="apt-get update"):
        mirrors(STRANGER)
