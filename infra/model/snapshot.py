"""A snapshot, and what it claims to hold.

The manifest is written on the host in the same moment as the data: it is the word of a
suspect. Sizes are bounded here because everything in it comes from there.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from infra.model.base import Model

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(max_length=512)]
#: `\d` would match the digits of every script, which sort after ours.
SNAPSHOT_ID = re.compile(r"^[0-9]{8}T[0-9]{6}Z\Z")
SnapshotId = Annotated[str, StringConstraints(pattern=r"^[0-9]{8}T[0-9]{6}Z$")]
MANIFEST = "manifest.json"
DATABASE = "db.sqlite"
NOISE_KEY = "noise_private.key"
DERP_KEY = "derp_server_private.key"
CONFIG = "config.yaml"
POLICY = "policy.hujson"
DERP_MAP = "derp.yaml"
EXTRA_RECORDS = "extra_records.json"
#: Files that every Headscale snapshot holds (facts: what a backup must hold).
REQUIRED_FILES = (DATABASE, NOISE_KEY, DERP_KEY, CONFIG, POLICY, DERP_MAP, EXTRA_RECORDS)


class FileFact(Model):
    sha256: Sha256
    size: Annotated[int, Field(ge=0)] = Field(description="Bytes.")


class NodeFact(Model):
    """One registered node, as the database states it."""

    id: Annotated[int, Field(ge=0)]
    name: Text
    user: Text
    node_key: Text = Field(description="`nodekey:…`, public.")
    machine_key: Text = Field(description="`mkey:…`, public: who may renew the node's key.")
    addresses: tuple[Text, ...] = Field(max_length=4)
    tags: tuple[Text, ...] = Field(default=(), max_length=64)
    approved_routes: tuple[Text, ...] = Field(default=(), max_length=256)


class Credential(Model):
    """A key that lets somebody in, by the part of it that is no secret."""

    kind: Literal["pre-auth key", "API key"]
    id: Annotated[int, Field(ge=0)]
    prefix: Text = Field(description="Empty for keys of versions before 0.28.")
    user: Text = Field(default="", description="Whose devices it lets in; empty: nobody's.")
    tags: tuple[Text, ...] = Field(default=(), max_length=64)
    reusable: bool = False


class MeshFacts(Model):
    """What the mesh consists of at one moment; compared from snapshot to snapshot."""

    server_key: Text = Field(description="`mkey:…` from /key?v=113: the server's identity.")
    derp_key: Text = Field(description="Public key (64 hex digits) of the embedded relay.")
    users: tuple[Text, ...] = Field(max_length=1_000)
    nodes: tuple[NodeFact, ...] = Field(max_length=10_000)
    credentials: tuple[Credential, ...] = Field(max_length=10_000)
    tables: dict[Text, int] = Field(max_length=200, description="Rows per table.")
    policy_sha256: Sha256 = Field(description="Of the policy file's bytes.")


class Manifest(Model):
    """What a snapshot says it holds. Written by infra/docker/vps/networking/headscale/snapshot.py."""

    format: Annotated[int, Field(ge=1, le=1)] = 1
    stack: Text = "headscale"
    id: SnapshotId = Field(description="UTC time of the snapshot, as 20261123T120000Z.")
    created_at: datetime = Field(description="UTC.")
    image: Text = Field(description="Image of the server: `headscale/headscale:0.29.2`.")
    files: dict[Text, FileFact] = Field(max_length=32)
    facts: MeshFacts
