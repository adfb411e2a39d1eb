"""The JSON schema of a site file, for editors. `python -m deployments.cli.schema` writes it."""

import json
from pathlib import Path

from infra.model.site import Site

EXAMPLE = Path(__file__).with_name("site.example.yaml")
SCHEMA = Path(__file__).with_name("site.schema.json")


def site_schema() -> str:
    """The schema as text, as it lies in site.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema | Site.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(site_schema())
