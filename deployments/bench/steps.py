"""A backup's own steps, one after the other, without Prefect: what the tasks of its flow call."""

from concurrent.futures import ThreadPoolExecutor

from infra.access.anchor import load_anchor
from infra.access.login import backup_login
from infra.access.ssh import connect
from infra.backup import collect, store
from infra.backup.staging import staging, workplace
from infra.backup.unpack import unpack
from infra.backup.verify import verify
from infra.errors import BackupFailed
from infra.model.site import Site
from infra.settings import Settings


def backup_once(settings: Settings, site: Site) -> None:
    """Apply the retention; ask for a fresh snapshot, fetch, verify and store it."""
    name = site.stacks.headscale.host
    host = site.hosts[name]
    login = backup_login(settings, site, name)
    repository = store.site_repository(settings, site)
    with (
        staging(settings, site.name) as folder,
        ThreadPoolExecutor() as both,
        connect(login) as session,
    ):
        # At once, as in the flow.
        expiring = both.submit(store.expire, repository, site, may_create=False)
        fresh = collect.ask(session, host).fresh
        if fresh is None:
            raise BackupFailed(f"{name} made no snapshot.", "Run `meshkeeper backup` to see why.")
        expiring.result()
        with workplace(folder, fresh) as (archive, files):
            collect.fetch(session, host, fresh, archive)
            unpack(archive / store.ARCHIVE, files)
            manifest = verify(fresh, files, load_anchor(settings, site.name))
            store.store(repository, site.name, archive, manifest)
