"""The last screen of `make lab`: what runs where, the second plan, the verdict, what to try."""

from rich.console import Console
from rich.table import Table

from deployments.lab.command import Json, meshkeeper
from deployments.lab.steps import MainJob
from infra.model.drill import CLIENT

#: Columns, also where the output goes to a file.
WIDTH = 120


def print_summary(job: MainJob) -> None:
    console = Console(width=max(Console().width, WIDTH))
    console.print(_what_runs(job))
    console.print("\n[bold]The plan of a second run[/bold]")
    console.print(_plan_text(meshkeeper(job.plan, "plan")), markup=False)
    _print_drill(console, job)
    console.print(f"\n[bold]The UI[/bold]  http://127.0.0.1:{job.plan.ui_port}")
    _print_next(console, job)


def _what_runs(job: MainJob) -> Table:
    """The lab's machines, then the containers on the VPS as its own engine tells."""
    table = Table(title="What runs where")
    for column in ("machine", "address", "what"):
        table.add_column(column)
    for container in sorted(
        job.engine.containers.list(filters={"name": f"^/{job.plan.prefix}-"}),
        key=lambda container: str(container.name),
    ):
        networks = container.attrs["NetworkSettings"]["Networks"].values()
        addresses = ", ".join(network["IPAddress"] for network in networks)
        table.add_row(str(container.name), addresses, container.attrs["Config"]["Image"])
    listing = job.lab.vps.check("docker", "ps", "--format", "{{.Names}}\t{{.Image}}\t{{.Status}}")
    for line in listing.splitlines():
        name, image, status = line.split("\t")
        table.add_row(f"  on the VPS: {name}", "", f"{image}, {status}")
    return table


def _plan_text(answer: Json) -> str:
    plans = answer.get("plans", [])
    lines = []
    for plan in plans:
        changes = [f"  - {change['item']}: {change['summary']}" for change in plan["changes"]]
        lines += [f"{plan['target']}: {'in order' if not changes else ''}", *changes]
    return "\n".join(lines)


def _print_drill(console: Console, job: MainJob) -> None:
    report = job.drill.get("report")
    if not report:
        console.print(f"\nThe drill: {job.drill.get('message')}", markup=False)
        return
    console.print(
        f"\n[bold]The drill's verdict: {report['verdict']}[/bold]  {report['reason']}".rstrip()
    )
    table = Table()
    for column in ("evidence", "outcome", "found", "seconds"):
        table.add_column(column)
    for proof in report["evidence"]:
        found = proof["reason"] or proof["found"]
        table.add_row(proof["kind"], proof["outcome"], found, f"{proof['seconds']:.1f}")
    console.print(table)
    age = report["recovery_point_seconds"]
    point = "unknown" if age is None else f"{age:.0f} s"
    time = sum(report["phases"].values())
    until = (
        "until a client was online" if CLIENT in report["phases"] else "and no client came online"
    )
    console.print(f"Recovery point: {point}. Recovery time: {time:.1f} s {until}.")


def _print_next(console: Console, job: MainJob) -> None:
    command = f".venv/bin/meshkeeper {{}} --site {job.plan.site_file}"
    console.print("\n[bold]Three things to try next[/bold]")
    for text, line in (
        ("look at the drill's report in the UI, under Artifacts", f"http://127.0.0.1:{job.plan.ui_port}/artifacts"),
        ("let a client ask the other by name", f"docker exec {job.plan.name('client-a')} ping -c 2 client-b"),
        ("drill again, with every step shown", command.format("drill")),
    ):  # fmt: skip
        console.print(f"  {text}:\n    {line}", markup=False, soft_wrap=True)
