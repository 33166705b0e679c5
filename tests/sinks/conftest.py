"""A small database of invoices, as a run would leave it."""

import pytest

from pipeline.data import Document, Evidence, Found, Page, Record
from pipeline.schema import Field, List, Object, Text
from pipeline.store import FileRow, Normalised, RunInfo, Store

SCHEMA = Object(
    (
        Field("seller", Text()),
        Field("total", Text(type="money")),
        Field("items", List(Object((Field("name", Text()), Field("price", Text(type="money")))))),
        Field("tags", List(Text())),
    )
)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "night.db") as store:
        store._do("PRAGMA synchronous = OFF")  # no test pulls the plug
        yield store


@pytest.fixture
def save(store):
    """Save one more invoice."""
    run = store.begin_run(RunInfo("nightdesk run"))
    recipe = store.recipe("invoices", {"chunking": "whole"})
    store.define_task(run, "invoices", SCHEMA, recipe)

    def save(name, **values):
        store.save_files(run, [FileRow(f"/in/{name}", None, name, 1, 1, name)])
        store.link_inputs(run, "invoices", [f"/in/{name}"])
        store.save_document(run, Document(name, "text", (Page(1, 0, 4),), "text", "1"))
        evidence = (Evidence("seller", "te", Found.EXACT, 0, 2, 1, 1, 0.5, "S!A1"),)
        normalised = {"total": Normalised(float(values["total"]), "EUR")} if values.get("total") else {}
        return store.save_record(run, Record(name, "invoices", values, evidence=evidence), recipe, normalised)

    return save
