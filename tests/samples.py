"""Values that several tests begin with."""

from infra.model.snapshot import MeshFacts

#: A mesh of which nothing is known but its keys.
FACTS = MeshFacts(
    server_key="mkey:1",
    derp_key="2",
    users=(),
    nodes=(),
    credentials=(),
    tables={},
    policy_sha256="0" * 64,
)
