"""A flow's report: markdown for people in the UI, JSON for the command line."""

from prefect.artifacts import Artifact, create_markdown_artifact
from pydantic import BaseModel

#: The type of the artifact that holds a run's report; Prefect keeps it as JSON text.
REPORT_TYPE = "report"


def publish_report(key: str, markdown: str, report: BaseModel) -> None:
    """Publish what a run did; `key` is in lower case with dashes.

    A call in a flow belongs to the run as a whole: the command line prints its last report.
    """
    create_markdown_artifact(key=key, markdown=markdown)
    Artifact(type=REPORT_TYPE, key=f"{key}-json", data=report.model_dump(mode="json")).create()
