"""The page of the settings is that of the code."""

import tomllib

import pytest

from ops.docs.settings_page import SettingRow, setting_tables, settings_page
from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from tests.support.checkout import ROOT

TABLES = setting_tables()
ROWS = [pytest.param(row, id=f"{table.heading} {row.key}") for table in TABLES for row in table.rows]
SMALLEST = '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:ACME"]\n'


def test_the_file_is_that_of_the_code() -> None:
    """After a change run `make settings`."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


@pytest.mark.parametrize("row", ROWS)
def test_every_setting_says_what_it_means(row: SettingRow) -> None:
    """A whole sentence of it, and what may stand there."""
    assert len(row.meaning) > 20
    assert row.meaning.endswith(".")
    assert row.values


def test_every_table_says_what_it_is_about() -> None:
    """A whole sentence of it, and no two tables by one heading."""
    assert len({table.heading for table in TABLES}) == len(TABLES)
    assert all(len(table.meaning) > 20 and table.meaning.endswith(".") for table in TABLES)


def test_every_variable_of_the_page_is_one_that_is_read() -> None:
    """A value that no setting takes is told under its key, not as a variable that nobody knows."""
    variables = [row.variable for table in TABLES for row in table.rows if row.variable]
    context = Context(environ={"ACME": "a", **dict.fromkeys(variables, "[[1]]")}, providers=("shipstream",))
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(SMALLEST, source="here.toml", context=context)
    assert len(variables) == 75
    assert not [fault for fault in caught.value.faults if "no such setting" in fault]


def test_units_and_bounds_are_told() -> None:
    """A few rows, word by word."""
    rows = {f"{table.heading} {row.key}": row for table in TABLES for row in table.rows}
    hours = rows["[sequence] lost_after_hours"]
    assert (hours.unit, hours.values, hours.default) == ("h", "whole number, 1 to 87,600", "`110`")
    assert hours.variable == "DROPSTREAM_SEQUENCE__LOST_AFTER_HOURS"
    assert rows["[ingest] spool_bytes_max"].default == "`10_737_418_240`"
    assert tomllib.loads("spool_bytes_max = 10_737_418_240") == {"spool_bytes_max": 10_737_418_240}
    assert rows["[endpoints.NAME] rate_per_second"].values == "number above 0"
    assert rows["[kafka] sasl_mechanism"].values == "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER`"
    assert rows["[endpoints.NAME] provider"].default == "must be set"
