"""The figures of two sides that stand beside published ones are those of the tables."""

import json

import pytest

from coemerge.report.published import PUBLISHED
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.summary import summary_rows
from tests.report.made_up_sides import effect, side_tables

Rows = list[dict]
TABLES: dict[str, Rows] = {name: frame.to_dict("records") for name, frame in side_tables().items()}
CONFIG = EntityRelationConfig()


def summary(**tables: Rows) -> dict[str, dict]:
    rows = summary_rows({**TABLES, **tables}, CONFIG, [0, 1], "made-up")
    return {row["name"]: row for row in rows}


def only(table: str, **values: object) -> dict:
    (row,) = [r for r in TABLES[table] if all(r[k] == v for k, v in values.items())]
    return row


def test_every_row_has_its_id_a_name_of_its_own_and_what_its_bounds_are():
    rows = summary_rows(TABLES, CONFIG, [0, 1], "made-up")

    assert len({row["name"] for row in rows}) == len(rows)
    assert {row["id"] for row in rows} == {"P2-a", "P2-b"}
    assert {row["interval"] for row in rows} == {"95 %, bootstrap over seeds then facts"}
    assert all(row["seeds"] == [0, 1] and row["source"] == "made-up" for row in rows)
    json.dumps(rows, allow_nan=False)


def test_what_the_published_values_are_of_is_there():
    for published in PUBLISHED:
        if published.study == "entity_relation":
            assert published.ours
            assert set(published.ours) <= set(summary())


def test_harmonic_means_before_and_under_edits_of_all_arms():
    of = {"arm": "all", "editor": "memit", "edit_side": "relation", "measure": "efficacy"}
    for moment in ("pre", "post"):
        row = summary()[f"mean/efficacy/memit/relation/{moment}"]
        assert row["value"] == only("side_means", **of, moment=moment)["value"]
        assert (row["n"], row["n_total"]) == (60, 138)


def test_transfer_is_to_the_other_side_and_is_no_share():
    row = summary()["transfer/efficacy/rome/entity"]
    found = only("side_transfer", arm="all", editor="rome", edit_side="entity",
                 probe="relation", measure="efficacy")  # fmt: skip

    assert (row["value"], row["low"], row["unit"]) == (found["index"], found["low"], "index")
    assert summary()["transfer/efficacy/rome/entity/both_sides"]["value"] == pytest.approx(0.38)


def test_transfer_net_of_damage_stands_beside():
    row = summary()["net/efficacy/rome/entity"]
    found = only("side_transfer", arm="all", editor="rome", edit_side="entity",
                 probe="relation", measure="efficacy")  # fmt: skip

    assert (row["value"], row["low"], row["high"]) == (
        found["net"], found["net_low"], found["net_high"]
    )  # fmt: skip
    assert "net of damage on the relation probe" in row["quantity"]


def test_the_effect_of_noise_on_the_subject_comes_first():
    names = [name for name, row in summary().items() if row["id"] == "P2-b"]

    assert names[0] == "total/bare/subject"
    assert set(names[1:6]) == {
        "total/bare/relation", "total/bare/both", "total/prefixed/subject",
        "total/prefixed/relation", "total/prefixed/neutral",
    }  # fmt: skip
    assert summary()["total/bare/relation"]["value"] == 0.4


def test_highest_effects_are_of_whole_windows_and_attention_is_at_the_layer_of_the_mlps():
    effects = [dict(row) for row in TABLES["tracing_effects"]]
    for row in effects:
        if (row["corrupt"], row["role"], row["layer"]) == ("subject", "last_subject", 0):
            row["aie"] = 0.99  # of the residual too, whose window is whole
        if (row["kind"], row["role"], row["layer"]) == ("attn", "last_subject", 5):
            row["aie"] = 0.9

    found = summary(tracing_effects=effects)

    assert found["effect/resid"]["value"] == 0.99
    assert found["effect/resid"]["quantity"].endswith("layer 0")
    assert found["effect/mlp"]["value"] == effect("subject", "mlp", "last_subject", 2)
    assert found["effect/attn"]["value"] == effect("subject", "attn", "last_subject", 2)
    assert found["effect/attn/relation"]["quantity"].endswith("noise on relation, layer 2")
    assert (found["effect/mlp"]["n"], found["effect/mlp"]["n_total"]) == (80, 100)


def test_highest_effects_are_told_wherever_they_are_before_the_last_token():
    effects = [dict(row) for row in TABLES["tracing_effects"]]
    for row in effects:
        if (row["kind"], row["role"], row["layer"]) == ("mlp", "first_subject", 4):
            row["aie"] = 0.4
        if (row["role"], row["layer"]) == ("further", 4):
            row["aie"], row["n"] = 0.8, 9  # of few prompts

    found = summary(tracing_effects=effects)

    assert found["peak/mlp"]["value"] == 0.4
    assert found["peak/mlp"]["quantity"].endswith("noise on subject: first subject, layer 4")
    assert found["peak/resid/relation"]["value"] == effect("relation", "resid", "last_corrupted", 2)


def test_what_was_not_measured_is_said_to_be_not():
    rows = {row["name"]: row for row in summary_rows({}, CONFIG, [0], "none")}

    for name in ("mean/efficacy/rome/entity/post", "transfer/efficacy/kn/relation",
                 "net/efficacy/kn/relation", "total/bare/subject", "effect/mlp",
                 "peak/mlp"):  # fmt: skip
        assert (rows[name]["value"], rows[name]["interval"]) == (None, "not measured")


def test_what_is_not_defined_has_no_value():
    nowhere = [{**row, "index": float("nan")} for row in TABLES["side_transfer"]]

    row = summary(side_transfer=nowhere)["transfer/efficacy/rome/entity"]

    assert (row["value"], row["interval"]) == (None, "nothing to measure")


def test_kinds_that_were_not_traced_are_not_measured():
    resid = [row for row in TABLES["tracing_effects"] if row["kind"] == "resid"]
    found = summary(tracing_effects=resid)

    assert found["effect/resid"]["value"] is not None
    assert found["effect/mlp"]["interval"] == found["effect/attn"]["interval"] == "not measured"
