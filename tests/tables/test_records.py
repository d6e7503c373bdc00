"""Every table documents its columns."""

from dataclasses import fields

import pytest

from coemerge.tables.records import RECORDS, describe
from coemerge.tables.store import table_schema


@pytest.mark.parametrize("table", RECORDS)
def test_every_column_is_documented(table):
    assert all(doc.strip() for doc in describe(table).values())


@pytest.mark.parametrize("table", RECORDS)
def test_the_documentation_covers_the_columns_in_order(table):
    assert list(describe(table)) == table_schema(table).names


@pytest.mark.parametrize("table", RECORDS)
def test_every_table_has_a_key(table):
    assert any(f.metadata["key"] for f in fields(RECORDS[table]))


@pytest.mark.parametrize("table", RECORDS)
def test_a_table_is_registered_under_its_own_name(table):
    assert RECORDS[table].table == table
