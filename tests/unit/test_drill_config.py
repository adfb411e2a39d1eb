"""A restored configuration is production's, without its ways out."""

import re

import pytest
import yaml

from infra.drill.config import isolated_config
from infra.drill.front import caddyfile, views
from infra.drill.server import official_image
from infra.errors import BackupFailed, CouldNotRun

KEY = f"mkey:{'a1' * 32}"


def test_an_isolated_server_reaches_nothing_and_finds_its_files() -> None:
    text = "\n".join(
        [
            "server_url: https://hs.example.org",
            "oidc: {issuer: 'https://login.example.org'}",
            "tls_letsencrypt_hostname: hs.example.org",
            "derp: {urls: ['https://example.org/map'], server: {region_id: 999}}",
            "database: {type: sqlite, sqlite: {path: /etc/shadow, write_ahead_log: true}}",
        ]
    )
    config = yaml.safe_load(isolated_config(text))
    assert config["server_url"] == "https://hs.example.org"
    assert config["derp"]["urls"] == []
    assert config["derp"]["server"]["region_id"] == 999
    assert config["database"]["sqlite"]["path"] == "/var/lib/headscale/db.sqlite"
    assert config["database"]["sqlite"]["write_ahead_log"] is True
    assert not {"oidc", "tls_letsencrypt_hostname"} & config.keys()


@pytest.mark.parametrize(
    "text", ["", "- a list", "a: [", "x" * 200_000, "[" * 50_000, "a: &a [1]\nb: [*a, *a]"]
)
def test_what_is_no_configuration_is_a_bad_backup(text: str) -> None:
    with pytest.raises(BackupFailed, match=re.escape("config.yaml")):
        isolated_config(text)


@pytest.mark.parametrize(
    "image",
    ["evil/headscale:0.29.2", "headscale/headscale:latest", "headscale/headscale:0.29.2\nx", ""],
)
def test_the_host_does_not_choose_what_we_run(image: str) -> None:
    with pytest.raises(BackupFailed, match="expected 'headscale/headscale:X"):
        official_image(image)


def test_only_the_remembering_views_answer_with_the_pinned_key() -> None:
    files = views("hs.example.org", KEY)
    shown = {name: KEY.encode() in text for name, text in files.items()}
    assert shown == {"restored": False, "remembered": True, "replaced": True}


def test_a_key_that_is_no_key_gets_into_no_caddyfile() -> None:
    with pytest.raises(CouldNotRun, match="The anchor's server key"):
        caddyfile("hs.example.org", "headscale", "mkey:`}\nimport /etc/passwd")
