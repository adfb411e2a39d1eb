"""How two workers share the tests (`pytest -n 2`): by module, the longest first, the mesh's together.

xdist's own `--dist loadgroup` writes into a test's id, which pytest 9.2 does not let it.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

MESH = "mesh"

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
    "test_rollout_red",
)


#: What takes minutes begins first: begun last, it would run while the other worker waits.
LONGEST = (
    MESH,
    "tests/integration/test_minors.py",
    "tests/integration/test_provision_faults.py",
    "tests/integration/sabotage/test_sabotage.py",
    "tests/integration/test_provision.py",
    "tests/integration/test_control_plane.py",
)


def group(nodeid: str) -> str:
    """What is run by one worker, given a test's id."""
    module = nodeid.partition("::")[0]
    name = module.rpartition("/")[2].removesuffix(".py")
    return MESH if "/integration/" in module and name in WITH_A_MESH else module


def longest_first(items: list[pytest.Item]) -> None:
    """Order the tests for both workers alike; within a group they keep their order."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(group(item.nodeid), len(rank)))


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        # Its own order is by the number of tests, of which the longest modules have few.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
