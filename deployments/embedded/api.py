"""The few requests of Prefect's REST API that the command line needs, without importing Prefect."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

import httpx

from infra.errors import BadInput, CouldNotRun

Json = dict[str, Any]
#: States from which a run does not move on by itself.
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
#: States in which a run has, or is about to have, a process.
IN_FLIGHT = ("RUNNING", "PENDING", "CANCELLING", "PAUSED")
#: Seconds between attempts while the server is busy.
BUSY_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)


class Api:
    """A Prefect server; every method raises CouldNotRun when it doesn't answer as it should."""

    def __init__(self, url: str) -> None:
        self._url = url
        # The server is on this machine: a proxy from the environment must not get in between.
        # No connection is kept open, so there is none to close.
        self._client = httpx.Client(
            base_url=url,
            timeout=30,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def healthy(self) -> bool:
        try:
            return self._client.get("/health", timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def deployment(self, name: str) -> Json | None:
        """A deployment by `flow/deployment`; None when it is not registered."""
        found: Json | None = self._request("GET", f"/deployments/name/{name}", missing=True)
        return found

    def deployments(self) -> list[Json]:
        return self._list("/deployments/filter", {})

    def start_run(self, deployment_id: str, request: Json) -> Json:
        """A new run of a deployment; BadInput when the server refuses the request."""
        path = f"/deployments/{deployment_id}/create_flow_run"
        body = {
            "parameters": {"request": request},
            "state": {"type": "SCHEDULED"},
            # Asked twice after a busy answer, the server still makes one run.
            "idempotency_key": str(uuid.uuid4()),
        }
        run: Json = self._request("POST", path, body)
        return run

    def run(self, run_id: str) -> Json:
        run: Json = self._request("GET", f"/flow_runs/{run_id}")
        return run

    def runs(self, **conditions: Json) -> list[Json]:
        """The newest runs (at most 200, scheduled ones included) that meet conditions on flow runs."""
        return self._list(
            "/flow_runs/filter", {"flow_runs": conditions, "sort": "EXPECTED_START_TIME_DESC"}
        )

    def in_flight(self, deployment_id: str) -> list[Json]:
        """The runs of a deployment that have, or are about to have, a process."""
        return self.runs(
            deployment_id={"any_": [deployment_id]}, state={"type": {"any_": list(IN_FLIGHT)}}
        )

    def last_ended(self, deployment_id: str, states: Sequence[str] = FINAL) -> list[Json]:
        """The run of a deployment that ended last in one of these states; empty where none has."""
        condition = {
            "deployments": {"id": {"any_": [deployment_id]}},
            "flow_runs": {"state": {"type": {"any_": list(states)}}},
            "sort": "END_TIME_DESC",
            "limit": 1,
        }
        return self._list("/flow_runs/filter", condition)

    def task_runs(self, run_id: str) -> list[Json]:
        condition = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return self._list("/task_runs/filter", condition)

    def artifacts(self, run_id: str) -> list[Json]:
        """What a run published, oldest first."""
        condition = {"artifacts": {"flow_run_id": {"any_": [run_id]}}}
        found = self._list("/artifacts/filter", condition)
        return sorted(found, key=lambda artifact: str(artifact["created"]))

    def workers(self, pool: str) -> list[Json]:
        return self._list(f"/work_pools/{pool}/workers/filter", {})

    def waiting(self) -> list[Json]:
        """The runs that wait for a person's answer."""
        return self.runs(state={"type": {"any_": ["PAUSED"]}})

    def question(self, run: Json) -> tuple[str, Json]:
        """What a waiting run shows a person, and the schema of the answer."""
        keys = run["state"]["state_details"]["run_input_keyset"]
        address = f"/flow_runs/{run['id']}/input"
        text, schema = (
            self._request("GET", f"{address}/{keys[part]}") for part in ("description", "schema")
        )
        return str(text), schema

    def resume(self, run_id: str, answer: Json) -> bool:
        """Answer a waiting run; False when it no longer waits. Raises BadInput when it refuses this."""
        path = f"/flow_runs/{run_id}/resume"
        result: Json = self._request("POST", path, {"run_input": answer})
        if result["status"] == "REJECT":
            raise BadInput(f"The run refused the answer: {result['details']['reason']}")
        return bool(result["status"] == "ACCEPT")

    def set_state(self, run_id: str, state: Json) -> None:
        """Propose a state for a run."""
        self._request("POST", f"/flow_runs/{run_id}/set_state", {"state": state})

    def reset_slots(self, limit: Json) -> None:
        """Free all slots of a concurrency limit."""
        self._request("PATCH", f"/v2/concurrency_limits/{limit['id']}", {"active_slots": 0})

    def _list(self, path: str, body: Json) -> list[Json]:
        found: list[Json] = self._request("POST", path, body)
        return found

    def _request(
        self, method: str, path: str, body: Json | None = None, *, missing: bool = False
    ) -> Any:
        response = self._send(method, path, body)
        if missing and response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            raise BadInput(f"The control plane refused the request: {_detail(response)}")
        if response.is_error:
            raise CouldNotRun(
                f"The control plane answered {response.status_code} to {method} {path}."
            )
        return response.json() if response.content else None

    def _send(self, method: str, path: str, body: Json | None) -> httpx.Response:
        """A response; the server answers 503 while another request holds its SQLite."""
        try:
            for pause in BUSY_PAUSES:
                response = self._client.request(method, path, json=body)
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return response
                time.sleep(pause)
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise CouldNotRun(
                f"The control plane at {self._url} does not answer ({error}).",
                "Start it with 'meshkeeper up', or look at 'meshkeeper status'.",
            ) from error


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json().get("detail", response.text[:500]))
    except ValueError:
        return response.text[:500]
