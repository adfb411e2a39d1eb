"""A provisioning as text for people. Pure."""

from infra.model.host import Machine, ProvisionReport
from infra.text import cell

GIB = 1024**3


def markdown(report: ProvisionReport) -> str:
    """What was changed, and what the host really has."""
    if not report.changes:
        done = "Nothing was touched: it was in order already (one round trip)."
    else:
        rows = [f"| {c.item} | {cell(c.summary)} | {c.seconds:.1f} s |" for c in report.changes]
        done = "\n".join(["| item | what was done | time |", "|---|---|---|", *rows])
    return f"# {report.host} is in order\n\n{done}\n\n{machine_line(report.machine)}\n"


def machine_line(machine: Machine) -> str:
    return (
        f"It has {machine.ram_bytes / GIB:.1f} GiB of memory, {machine.cores:g} cores, "
        f"{machine.disk_free_bytes / GIB:.0f} of {machine.disk_bytes / GIB:.0f} GiB of disk free, "
        f"kernel {cell(machine.kernel, 80)}."
    )
