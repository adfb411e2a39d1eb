"""`python -m deployments.lab up | boot | down | status`: what `make lab` and `make lab-down` run."""

import argparse
import sys

from docker.errors import APIError

from deployments.lab.down import take_down
from deployments.lab.plan import LAB, PLANS, LabPlan
from deployments.lab.steps import MainJob, run_steps
from infra.access.docker import engine as docker_engine
from infra.errors import CouldNotRun, MeshkeeperError

COMMANDS = {
    "up": "boot what is missing, then the main job: from nothing to a drill's verdict",
    "boot": "boot what is missing, and nothing more",
    "down": "leave no container, network, volume, process or file behind",
    "status": "what of it runs",
}


def main() -> int:
    """Run one command; the exit code as everywhere (0 done, 1 failed, 2 input, 3 could not run)."""
    parser = argparse.ArgumentParser(prog="python -m deployments.lab", description=__doc__)
    parser.add_argument(
        "command", choices=COMMANDS, help="; ".join(map(": ".join, COMMANDS.items()))
    )
    parser.add_argument("--prefix", choices=PLANS, default=LAB.prefix, help="which lab")
    arguments = parser.parse_args()
    try:
        return _run(arguments.command, PLANS[arguments.prefix])
    except MeshkeeperError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.exit_code
    except (APIError, OSError) as error:
        print(f"lab: this machine refused: {error}", file=sys.stderr)
        return CouldNotRun.exit_code
    except KeyboardInterrupt:
        print("lab: interrupted; the same command goes on from here", file=sys.stderr)
        return CouldNotRun.exit_code


def _run(command: str, plan: LabPlan) -> int:
    engine = docker_engine()
    if command == "down":
        removed = take_down(engine, plan)
        print(f"lab: {plan.prefix} is gone ({len(removed)} containers, networks and volumes)")
        return 0
    if command == "status":
        for container in engine.containers.list(all=True, filters={"name": f"^/{plan.prefix}-"}):
            print(f"{container.name:30} {container.status}")
        return 0
    job = MainJob(engine, plan)
    if command == "boot":
        run_steps(job.topology())
        return 0
    return _up(job)


def _up(job: MainJob) -> int:
    from deployments.lab.summary import print_summary

    run_steps(job.steps())
    print_summary(job)
    return job.drill_exit_code


if __name__ == "__main__":
    sys.exit(main())
