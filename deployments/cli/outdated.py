"""`outdated`: which wanted versions are older than the newest, where an index can be asked."""

from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from deployments.cli.answer import Answer
from infra.images.newest import Version, image_version, toolchain_version
from infra.rollout.render import render_stacks
from infra.settings import load_settings
from infra.site_file import load_site
from infra.text import cell


def run(arguments: Namespace) -> Answer:
    """Tells, and is content with either answer: what to do about it is the reader's to say."""
    site = load_site(load_settings(arguments.site).site)
    stacks = render_stacks(site).values()
    images = sorted({image for stack in stacks for image in stack.images})
    with ThreadPoolExecutor(max_workers=8) as threads:
        toolchain = threads.submit(toolchain_version)
        versions = [*threads.map(image_version, images), toolchain.result()]
    rows = [{**asdict(version), "outdated": version.outdated} for version in versions]
    return Answer(table(versions), {"site": site.name, "images": rows}, markdown=True)


def table(versions: list[Version]) -> str:
    rows = [
        f"| {cell(v.name)} | {cell(v.wanted)} | {cell(v.newest) or '?'} | {cell(_note(v))} |"
        for v in versions
    ]
    return "\n".join(["| image | wanted | newest known | note |", "|---|---|---|---|", *rows])


def _note(version: Version) -> str:
    if version.note:
        return version.note
    return "a newer one is there" if version.outdated else "the newest"
