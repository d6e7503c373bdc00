"""The figures of knowledge neurons that stand beside published ones are those of the tables."""

import json
import math

import pytest

from coemerge.report.published import PUBLISHED
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.summary import summary_rows
from tests.report.made_up_neurons import effect, neuron_tables, rate

Rows = list[dict]
TABLES: dict[str, Rows] = {
    name: frame.to_dict("records") for name, frame in neuron_tables().items()
}
CONFIG = KnowledgeNeuronsConfig()


def summary(**tables: Rows) -> dict[str, dict]:
    rows = summary_rows({**TABLES, **tables}, CONFIG, [0, 1], "made-up")
    return {row["name"]: row for row in rows}


def test_every_row_has_its_id_a_name_of_its_own_and_what_its_bounds_are():
    rows = summary_rows(TABLES, CONFIG, [0, 1], "made-up")

    assert len({row["name"] for row in rows}) == len(rows)
    assert {row["id"] for row in rows} == {"P4-a", "P4-b"}
    assert all(row["interval"] and row["quantity"] for row in rows)
    assert all(row["seeds"] == [0, 1] and row["source"] == "made-up" for row in rows)
    json.dumps(rows, allow_nan=False)


def test_what_the_published_values_are_of_is_there():
    for published in PUBLISHED:
        if published.study == "knowledge_neurons":
            assert published.ours
            assert set(published.ours) <= set(summary())


def test_sets_have_medians_and_what_they_range_over():
    size = summary()["size/syntax/class"]

    assert (size["value"], size["low"], size["high"], size["n"]) == (3.5, 3.0, 4.0, 8)
    assert size["interval"] == "lowest to highest set"
    assert summary()["share/facts/item"]["value"] == pytest.approx(0.6)
    assert summary()["excess/facts/item"]["value"] == pytest.approx(0.52)


def test_effects_are_of_the_groups_own_neurons_over_all_topics():
    row = summary()["error/facts/item/enhanced"]

    assert row["value"] == pytest.approx(effect("facts", "item", "enhanced", "none", "error"))
    assert (row["unit"], row["n"]) == ("points", 800)
    assert row["interval"] == "95 %, bootstrap over seeds then facts"


@pytest.mark.parametrize("moment", ["pre", "post"])
def test_what_edits_imply_is_told_with_the_edit_itself(moment: str):
    found = summary()
    implied = found[f"symmetry/rome/stated_known/{moment}"]
    rewrite = found[f"rewrite/synonymy/ft/all/{moment}"]

    assert implied["value"] == rate("symmetry", "rome", "stated_known", "inverse_new", moment)
    assert implied["n"] == 20
    assert rewrite["value"] == rate("synonymy", "ft", "all", "rewrite", moment)


def test_arms_have_rows_of_their_own():
    row = summary()["symmetry/rome/A6_one_direction/post"]

    assert row["value"] == rate("symmetry", "rome", "all", "inverse_new", "post")
    assert row["quantity"].endswith("facts of arm A6_one_direction, under the edit")
    assert "synonymy/rome/A6_one_direction/post" not in summary()


def test_a_condition_without_facts_has_no_value():
    none = [
        {**row, "value": math.nan, "low": math.nan, "high": math.nan, "n": 0}
        if row["condition"] == "not_stated"
        else row
        for row in TABLES["implication_rates"]
    ]
    row = summary(implication_rates=none)["symmetry/rome/not_stated/post"]

    assert (row["value"], row["n"], row["interval"]) == (None, 0, "nothing to measure")


def test_sets_without_a_similarity_do_not_count():
    groups = [{**row, "excess": math.nan} for row in TABLES["neuron_groups"]]
    found = summary(neuron_groups=groups)

    assert (found["excess/facts/class"]["value"], found["excess/facts/class"]["n"]) == (None, 0)
    assert found["size/facts/class"]["n"] == 3


@pytest.mark.parametrize("kind", ["syntax", "facts"])
def test_a_world_of_one_kind_has_no_values_of_the_other(kind: str):
    of_kind = {
        name: [row for row in rows if row.get("kind", kind) == kind]
        for name, rows in TABLES.items()
    }
    found = summary(**of_kind)
    (other,) = {"syntax", "facts"} - {kind}

    assert found[f"size/{kind}/class"]["value"] is not None
    assert found[f"size/{other}/class"]["interval"] == "not measured"
    assert found[f"error/{other}/class/suppressed"]["interval"] == "not measured"


def test_what_was_not_measured_is_said_to_be_not():
    rows = {row["name"]: row for row in summary_rows({}, CONFIG, [0], "none")}

    for name in ("size/facts/class", "error/syntax/item/suppressed", "symmetry/kn/all/post",
                 "rewrite/synonymy/rome/stated_known/post"):  # fmt: skip
        assert (rows[name]["value"], rows[name]["interval"]) == (None, "not measured")


def test_only_editors_that_were_used_have_rows():
    rows = summary_rows(TABLES, KnowledgeNeuronsConfig(editors=["ft"]), [0], "one")

    assert {row["name"].split("/")[1] for row in rows if row["id"] == "P4-b"} == {
        "ft", "symmetry", "synonymy"
    }  # fmt: skip
