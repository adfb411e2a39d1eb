"""What is sent of an image: only the layers that the host lacks, the same bytes each time."""

import gzip
import hashlib
import io
import json
import logging
import tarfile
from pathlib import Path

import pytest

from infra.images import ship
from infra.images.archive import add_bytes
from infra.images.parcel import Parcel, known_layers, pack
from infra.images.ship import chunks

LAYERS = [b"base", b"middle", b"top"]
DIGESTS = tuple(f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in LAYERS)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """As an engine saves it: names of its own, a layer twice as a link."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": DIGESTS}}).encode()
    manifest = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["a/l", "b/l", "c/l"]}]
    with tarfile.open(tmp_path / "saved", "w") as archive:
        add_bytes(archive, "c.json", config)
        add_bytes(archive, "a/l", LAYERS[0])
        add_bytes(archive, "elsewhere", LAYERS[1])
        link = tarfile.TarInfo("b/l")
        link.type, link.linkname = tarfile.SYMTYPE, "../elsewhere"
        archive.addfile(link)
        add_bytes(archive, "c/l", LAYERS[2])
        add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
    return tmp_path / "saved"


def contents(parcel: Parcel) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(parcel.path.read_bytes()))) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def test_layers_that_lie_there_are_left_out_and_still_named(saved: Path, tmp_path: Path) -> None:
    parcel = pack("x:1", saved, [DIGESTS[:2], ("sha256:other",)], tmp_path / "out")
    files = contents(parcel)
    [manifest] = json.loads(files.pop("manifest.json"))
    config = files.pop(manifest["Config"])
    assert list(files.values()) == [LAYERS[2]]
    assert manifest["RepoTags"] == ["x:1"]
    assert manifest["Layers"] == [f"{digest[7:]}/layer.tar" for digest in DIGESTS]
    assert parcel.image_id == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert (parcel.layers, parcel.sent) == (3, 1)


def test_a_host_that_has_none_gets_all(saved: Path, tmp_path: Path) -> None:
    files = contents(pack("x:1", saved, [], tmp_path / "out"))
    assert [files[f"{digest[7:]}/layer.tar"] for digest in DIGESTS] == LAYERS


def test_the_same_parcel_has_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    pack("x:1", saved, [], tmp_path / "one")
    pack("x:1", saved, [], tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_layer_counts_only_upon_the_same_ones_below() -> None:
    assert known_layers(("a", "b", "c"), [("a", "x", "c"), ("b", "c"), ("a",)]) == 1
    assert known_layers(("a", "b"), [("a", "b", "c")]) == 2
    assert known_layers(("a",), []) == 0


def test_what_is_sent_is_told_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ship, "TELL_EVERY", 0)
    path = tmp_path / "parcel"
    path.write_bytes(b"x" * 3_000_000)
    with caplog.at_level(logging.INFO):
        sent = b"".join(chunks(Parcel("caddy:2", "sha256:1", path, 3_000_000, 3, 1)))
    assert sent == path.read_bytes()
    assert [record.message.partition(" in ")[0] for record in caplog.records] == [
        "caddy:2: 1.0 of 3.0 MB sent",
        "caddy:2: 2.1 of 3.0 MB sent",
        "caddy:2: 3.0 of 3.0 MB sent",
    ]
