"""How two workers share the tests (`pytest -n 2`): by module, and those of the mesh stay together.

xdist's own `--dist loadgroup` writes into a test's id, which pytest 9.2 does not let it.
"""

from xdist.scheduler import LoadScopeScheduling

#: Their tests share one mesh, which takes minutes to boot and is one of each worker's.
WITH_A_MESH = (
    "test_audit",
    "test_backup",
    "test_backup_key",
    "test_browser",
    "test_caddy",
    "test_main_job",
    "test_own_stack",
    "test_releases",
    "test_rollout",
    "test_rollout_faults",
)


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        name = module.rpartition("/")[2].removesuffix(".py")
        return "mesh" if "/integration/" in module and name in WITH_A_MESH else module
