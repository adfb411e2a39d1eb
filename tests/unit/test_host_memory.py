"""Memory in use, as control groups of both versions tell it."""

from pathlib import Path

import pytest

from infra.host.facts import memory
from infra.host.facts.machine import memory as whole_memory

ID = "0123456789abcdef"


def group(base: Path, **files: str) -> str:
    """A control group's folder with these files; `__` stands for a dot. Its pattern."""
    folder = base / f"docker-{ID}.scope"
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return f"{base}/docker-%s.scope/"


def test_memory_that_is_free_is_some_and_not_more_than_there_is() -> None:
    assert 0 < memory.free_memory() <= whole_memory()


def test_what_the_host_uses_is_less_than_it_has_and_swap() -> None:
    used = memory.memory_state()["used_bytes"]
    assert 0 < used <= whole_memory() + memory.used_swap()


def test_a_container_holds_its_pages_and_swap_but_not_what_the_kernel_takes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was read twice is in the cache as one that was read once: images, logs, a database."""
    stat = "anon 500\nshmem 100\ninactive_file 200\nactive_file 80\nslab_reclaimable 20\n"
    pattern = group(
        tmp_path, memory__current="1000\n", memory__swap__current="70\n", memory__stat=stat
    )
    monkeypatch.setattr(memory, "NEW_GROUPS", (pattern,))
    assert memory.held(ID) == 770


def test_a_group_of_version_1_counts_swap_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = group(
        tmp_path,
        memory__usage_in_bytes="1000\n",
        memory__memsw__usage_in_bytes="1050\n",
        memory__stat="inactive_file 1\ntotal_inactive_file 150\ntotal_active_file 50\n",
    )
    monkeypatch.setattr(memory, "OLD_GROUPS", (pattern,))
    assert memory.held(ID) == 850


def test_a_kernel_that_counts_no_swap_tells_the_rest_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = group(tmp_path, memory__usage_in_bytes="1000\n")
    monkeypatch.setattr(memory, "OLD_GROUPS", (pattern,))
    assert memory.held(ID) == 1000


def test_running_containers_are_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    running = [{"Names": ["/headscale"], "Id": "none-of-that-name"}]
    monkeypatch.setattr(memory, "docker", lambda _: running)
    assert memory.memory_state()["containers"] == {"headscale": 0}
    monkeypatch.setattr(memory, "docker", lambda _: None)
    assert memory.memory_state()["containers"] == {}
