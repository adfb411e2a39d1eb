"""The restored server's configuration: the snapshot's own, cut off from the world."""

from typing import Any

import yaml

from infra.errors import BackupFailed
from infra.model.snapshot import (
    CONFIG,
    DATABASE,
    DERP_KEY,
    DERP_MAP,
    EXTRA_RECORDS,
    NOISE_KEY,
    POLICY,
)

#: Where the whole snapshot lies in the container.
HOME = "/var/lib/headscale"
CONFIG_PATH = f"{HOME}/{CONFIG}"
PORT = 8080

#: The relay as a drill's clients reach it. Caddy has no STUN, and clients would wait 3 s for it.
DRILL_MAP = "drill-derp.yaml"
_STUN_PORT = 3478

#: Characters. A configuration is a few kilobytes; YAML is slow, and this one is a stranger's.
LIMIT = 128 * 1024

#: What would reach out of the isolated network, or ask for a certificate.
_REMOVED = (
    "oidc",
    "acme_url",
    "acme_email",
    "tls_cert_path",
    "tls_key_path",
    "tls_letsencrypt_hostname",
    "grpc_listen_addr",
)

#: Paths of the container, and no way out. The rest stays as production has it.
_OVERRIDES: dict[str, Any] = {
    "listen_addr": f"0.0.0.0:{PORT}",
    "metrics_listen_addr": "",
    "unix_socket": "/run/headscale.sock",
    "disable_check_updates": True,
    "cli": {"timeout": "10s"},
    "logtail": {"enabled": False},
    "log": {"level": "info", "format": "text"},
    "noise": {"private_key_path": f"{HOME}/{NOISE_KEY}"},
    "policy": {"mode": "file", "path": f"{HOME}/{POLICY}"},
    "database": {"type": "sqlite", "sqlite": {"path": f"{HOME}/{DATABASE}"}},
    "derp": {
        "urls": [],
        "paths": [f"{HOME}/{DERP_MAP}", f"{HOME}/{DRILL_MAP}"],
        "auto_update_enabled": False,
        "server": {
            "enabled": True,
            "automatically_add_embedded_derp_region": False,
            "stun_listen_addr": f"0.0.0.0:{_STUN_PORT}",
            "private_key_path": f"{HOME}/{DERP_KEY}",
        },
    },
    "dns": {"extra_records_path": f"{HOME}/{EXTRA_RECORDS}"},
}


class _WithoutAliases(yaml.SafeLoader):
    """An alias is a copy when it is written out: a few of them, nested, fill any memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def isolated_config(text: str) -> str:
    """The snapshot's config.yaml as YAML for the drill.

    Raises BackupFailed when it is no configuration.
    """
    if len(text) > LIMIT:
        raise BackupFailed(f"{CONFIG} has more than {LIMIT} characters.")
    try:
        config = yaml.load(text, Loader=_WithoutAliases)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise BackupFailed(
            f"{CONFIG} is no configuration: it must be a YAML mapping without aliases."
        )
    kept = {key: value for key, value in config.items() if key not in _REMOVED}
    if isinstance(dns := kept.get("dns"), dict):
        # Headscale refuses a configuration that has both.
        dns.pop("extra_records", None)
    return yaml.safe_dump(_merged(kept, _OVERRIDES))


def drill_map(host_name: str, stun_host: str) -> str:
    """A DERP map (YAML) with the restored relay: DERP at Caddy's name, STUN at the server's own."""
    relay = {"name": "999a", "regionid": 999, "hostname": host_name, "stunport": -1}
    stun = {"name": "999b", "regionid": 999, "hostname": stun_host, "stunonly": True}
    region = {
        "regionid": 999,
        "regioncode": "drill",
        "regionname": "drill",
        "nodes": [relay, stun | {"stunport": _STUN_PORT}],
    }
    return yaml.safe_dump({"regions": {999: region}})


def _merged(config: dict[Any, Any], overrides: dict[str, Any]) -> dict[Any, Any]:
    result = dict(config)
    for key, value in overrides.items():
        inner = result.get(key)
        nested = isinstance(value, dict) and isinstance(inner, dict)
        result[key] = _merged(inner, value) if nested and inner is not None else value
    return result
