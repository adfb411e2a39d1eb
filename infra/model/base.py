"""The base of all values: immutable, and strict about what it is given."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """An immutable value; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
