"""The cache keeps one artefact of a recipe, and never half of one."""

from pathlib import Path

from infra.images.cache import HASH_DIGITS, drop_older, file_name

OLD, NEW = "a" * HASH_DIGITS, "b" * HASH_DIGITS


def test_a_new_artefact_takes_the_place_of_the_older_ones(tmp_path: Path) -> None:
    kept = tmp_path / f"caddy_2-{NEW}.tar"
    for path in (kept, tmp_path / f"caddy_2-{OLD}.tar"):
        path.touch()
    (tmp_path / f"caddy_2-{'c' * HASH_DIGITS}").mkdir()
    drop_older(kept, "caddy_2")
    assert list(tmp_path.iterdir()) == [kept]


def test_another_recipe_with_a_longer_name_is_left_alone(tmp_path: Path) -> None:
    kept, other = tmp_path / f"caddy-{NEW}.tar", tmp_path / f"caddy-next-{OLD}.tar"
    other.touch()
    drop_older(kept, "caddy")
    assert other.exists()


def test_an_image_name_is_one_path_component() -> None:
    assert file_name("headscale/headscale:0.29.2") == "headscale_headscale_0.29.2"
