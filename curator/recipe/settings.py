"""What all settings have in common, and the words that several of them take."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

USES = ("auxiliary", "text", "teacher")  # what documents can serve as without a label of the task
Serves = Literal["labels", "vote", "auxiliary", "text", "teacher"]
Kind = Literal["single", "multi", "regression"]  # of a task: one label per document, any number of them, a number
NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"


class Settings(BaseModel):
    """Cannot be changed; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
