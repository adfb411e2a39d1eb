"""The example that `init` writes and the schema beside it tell what the models say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import jsonschema
import yaml
from pydantic import BaseModel

from deployments.cli.schema import EXAMPLE, SCHEMA, site_schema
from infra.model.site import Site
from infra.site_file import load_site


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all that stand inside it."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from models(kind)


def test_the_example_is_the_first_users_site() -> None:
    site = load_site(EXAMPLE)
    assert site.domain == "cronova.dev"
    assert site.headscale_name == "hs.cronova.dev"
    assert site.hosts["vps"].admin == "linuxuser"


def test_the_example_shows_every_key_of_the_models() -> None:
    words = {line.strip(" #-").partition(":")[0] for line in EXAMPLE.read_text().splitlines()}
    inline = {"secret"}
    fields = {name for model in models(Site) for name in model.model_fields}
    assert fields - words - inline == set()


def test_the_example_shows_defaults_as_they_are() -> None:
    shown = load_site(EXAMPLE).model_dump()
    assert shown["stacks"]["headscale"].pop("users") == ("augusto",)
    required = {
        "domain": "cronova.dev",
        "hosts": {"vps": {key: shown["hosts"]["vps"][key] for key in ("address", "admin_keys")}},
        "stacks": {
            "headscale": {"host": "vps", "base_domain": "mesh.cronova.dev"},
            "caddy": {"host": "vps"},
        },
        "backup": {"repository": "~/backups/headscale", "password": {"secret": "restic_password"}},
    }
    bare = Site.model_validate(required).model_dump()
    bare["stacks"]["headscale"].pop("users")
    assert shown == bare


def test_the_schema_file_is_the_models_schema() -> None:
    assert SCHEMA.read_text() == site_schema(), "run: python -m deployments.cli.schema"


def test_the_schema_accepts_the_example_and_refuses_an_unknown_key() -> None:
    schema = json.loads(SCHEMA.read_text())
    example = yaml.safe_load(EXAMPLE.read_text())
    jsonschema.validate(example, schema)
    found = list(jsonschema.Draft202012Validator(schema).iter_errors(example | {"foo": 1}))
    assert [error.validator for error in found] == ["additionalProperties"]


def test_editors_find_the_schema_beside_the_site_file() -> None:
    first = EXAMPLE.read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={Path(SCHEMA).name}"
