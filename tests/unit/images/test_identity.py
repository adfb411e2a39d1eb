"""An image's configuration, out of both layouts in which engines save images."""

import io
import json
import tarfile
from collections.abc import Iterator

import pytest

from infra.errors import ImageUnavailable
from infra.images.identity import configuration_of

DIGEST = "3a" * 32


def saved(config: str, blob: bytes = b"x" * 100_000) -> Iterator[bytes]:
    """An archive in chunks that end anywhere."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in {
            "blobs/sha256/00": blob,
            "manifest.json": json.dumps([{"Config": config}]).encode(),
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    whole = buffer.getvalue()
    return (whole[at : at + 777] for at in range(0, len(whole), 777))


@pytest.mark.parametrize("config", [f"{DIGEST}.json", f"blobs/sha256/{DIGEST}"])
def test_the_configuration_is_found_in_both_layouts(config: str) -> None:
    assert configuration_of(saved(config)) == f"sha256:{DIGEST}"


def test_an_archive_without_a_configuration_is_one_sentence() -> None:
    with pytest.raises(ImageUnavailable, match="names no configuration"):
        configuration_of(saved("../../etc/passwd"))
