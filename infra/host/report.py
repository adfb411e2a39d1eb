"""A provisioning as text for people. Pure."""

from infra.model.host import Machine
from infra.model.host_change import ProvisionReport
from infra.text import cell

GIB = 1024**3


def markdown(report: ProvisionReport) -> str:
    """What was changed, and what the host really has."""
    if not report.changes:
        done = "Nothing was touched: it was in order already (one round trip)."
    else:
        rows = [f"| {c.item} | {cell(c.summary)} | {c.seconds:.1f} s |" for c in report.changes]
        done = "\n".join(["| item | what was done | time |", "|---|---|---|", *rows])
    notes = "".join(f"- {cell(note)}\n" for note in report.notes)
    left = f"\nLeft as it is:\n\n{notes}" if notes else ""
    return f"# {report.host} is in order\n\n{done}\n\n{machine_line(report.machine)}\n{left}"


def machine_line(machine: Machine) -> str:
    cores = "1 core" if machine.cores == 1 else f"{machine.cores:g} cores"
    return (
        f"It has {machine.ram_bytes / GIB:.1f} GiB of memory, {cores}, "
        f"{machine.disk_free_bytes / GIB:.0f} of {machine.disk_bytes / GIB:.0f} GiB of disk free, "
        f"kernel {cell(machine.kernel, 80)}, {_what(machine)}."
    )


def _what(machine: Machine) -> str:
    if machine.container:
        return f"a container ({cell(machine.virtualisation, 80)}): swap and clock are not its own"
    kind = "virtual machine" if machine.virtualisation == "vm" else "machine of its own"
    return f"a {kind} of {cell(machine.provider, 80) or 'an unknown provider'}"
