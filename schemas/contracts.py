"""A contract: who with whom, since when, for how long, under which law."""

from typing import Annotated

from pydantic import BaseModel, Field

from pipeline.schema import Extractive


class Contract(BaseModel):
    """One contract. A value that the contract does not state is null."""

    date: Annotated[str | None, Extractive("date")] = Field(
        max_length=40, description="day on which the contract was made or signed, as printed"
    )
    parties: list[Annotated[str, Extractive(), Field(max_length=80)]] = Field(
        max_length=6, description="names of the persons and companies that make the contract, without their addresses"
    )
    term: Annotated[str | None, Extractive()] = Field(
        max_length=80, description="how long the contract lasts, or until when"
    )
    governing_law: Annotated[str | None, Extractive()] = Field(
        max_length=80, description="country or state whose law governs the contract"
    )
