"""`device-key USER`: a key with which one device may join. It is shown here and nowhere else."""

from argparse import Namespace

from deployments.cli.answer import Answer
from infra.access.login import admin_login
from infra.access.ssh import connect
from infra.host.lock import refuse_if_locked
from infra.mesh.users import new_device_key
from infra.settings import load_settings
from infra.site_file import load_site


def run(arguments: Namespace) -> Answer:
    settings = load_settings(arguments.site)
    site = load_site(settings.site)
    with connect(admin_login(settings, site, site.stacks.headscale.host)) as session:
        # A rollout that goes back would take the key away again.
        refuse_if_locked(session)
        key = new_device_key(session, arguments.user).get_secret_value()
    command = f"tailscale up --login-server {site.server_url} --auth-key {key}"
    text = f"Within the hour, on the new device:\n  {command}"
    return Answer(text, {"user": arguments.user, "key": key, "server": site.server_url})
