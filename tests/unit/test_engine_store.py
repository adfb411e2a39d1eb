"""What a host's engine says of its images, some of which may make no sense."""

import json
from typing import cast

import pytest

from infra.access.login import Login
from infra.access.session import Session
from infra.errors import StepFailed
from infra.images.identity import CONTAINERD
from infra.model.stack import ShipImage
from infra.rollout.engine_store import engine_store, require_image

A, B = (f"sha256:{digit * 64}" for digit in "ab")
CHANGE = ShipImage(item="caddy.image", summary="send", image="caddy:2", image_id=A)


class Answering:
    """A session whose every command prints the same."""

    login = Login.model_construct(name="vps")

    def __init__(self, *lines: str) -> None:
        self.answer = "\n".join(lines).encode()

    def as_root(self, command: str) -> str:
        return command

    def check(self, _step: str, _command: str) -> bytes:
        return self.answer


def answering(*lines: str) -> Session:
    return cast("Session", Answering(*lines))


def test_the_layers_of_each_image_are_told_and_nonsense_is_not() -> None:
    lines = [json.dumps([A, B]), "null", "{", '["../../etc"]', "[1]"]
    store = engine_store(answering('[["Backing Filesystem","extfs"]]', *lines))
    assert store.names_by_configuration
    assert store.images == {(A, B)}


def test_of_containerds_store_no_layers_are_told() -> None:
    store = engine_store(answering(f'[["driver-type","{CONTAINERD}"]]', json.dumps([A])))
    assert not store.names_by_configuration
    assert store.images == frozenset()


def test_an_engine_that_says_nothing_has_nothing() -> None:
    assert engine_store(answering()).images == frozenset()


def test_the_image_that_lies_there_must_be_the_planned_one() -> None:
    require_image(answering(A), CHANGE)
    with pytest.raises(StepFailed, match=f"caddy:2 is {B} there, and not {A}"):
        require_image(answering(B), CHANGE)
