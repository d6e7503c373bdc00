"""The study of queries as a whole, on a planted model in which two facts have one neuron for all
wordings and two facts one for each; its cache, tables, summary and metrics."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from coemerge.interventions.guard import unchanged
from coemerge.localization.attribution_config import METHODS
from coemerge.studies.query_localization.attributions import find_neurons
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.edits import EDITS, TUNED
from coemerge.studies.query_localization.queries import Subject, choose_queries
from coemerge.studies.query_localization.study import Studied, study_model
from coemerge.studies.query_localization.summary import summary_rows
from coemerge.studies.query_localization.tables import query_localization_tables
from coemerge.studies.query_localization.wordings import assigned_consistency
from coemerge.studies.shared import attributions
from coemerge.studies.shared.means import Rows
from coemerge.tables.query_localization_records import QUERY_LOCALIZATION_RECORDS
from coemerge.tables.records import RECORDS
from coemerge.tables.store import make_table, table_schema
from coemerge.tracking.query_localization import query_localization_metrics
from tests.localization.models import FACTS, FIRST_OBJECT
from tests.studies.planted_queries import (
    CONFIG,
    CONSISTENT,
    INCONSISTENT,
    cell,
    facts,
    planted_ids,
    planted_neurons,
    prompts,
    subject,
)

TABLES = {record.table for record in QUERY_LOCALIZATION_RECORDS}
# quick where little is looked at
FEW = replace(CONFIG, localisers=("joint",), thresholds=(0.3,), editors=())


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    one = subject()
    with unchanged(one.model, "bitwise"):
        return study_model(one, CONFIG, tmp_path_factory.mktemp("neurons"))


@pytest.fixture(scope="module")
def joint(studied: Studied) -> Studied:
    """With consistency as ``FEW`` has it."""
    frame = studied.consistency
    chosen = (frame["localiser"] == "joint") & (frame["sets"] == "threshold")
    return replace(studied, consistency=frame[chosen])


@pytest.fixture(scope="module")
def tables(studied: Studied) -> dict[str, Rows]:
    with unchanged(studied.subject.model, "bitwise"):
        return query_localization_tables([studied], CONFIG)


def assert_valid(tables: dict[str, Rows]) -> None:
    """All columns and no others, keys without gaps, every row told apart by them."""
    for name, rows in tables.items():
        columns = table_schema(name).names
        for row in rows:
            assert set(row) == set(columns), name
        frame = pd.DataFrame(rows, columns=columns)
        table = make_table(name, {column: frame[column].to_numpy() for column in columns})
        keys = [spec.name for spec in fields(RECORDS[name]) if spec.metadata["key"]]
        assert not table.to_pandas().duplicated(keys).any(), name


def test_every_table_is_valid_and_filled(tables: dict[str, Rows]):
    assert_valid(tables)
    assert set(tables) == TABLES
    assert all(tables.values())


def test_neurons_found_are_those_planted(studied: Studied, tables: dict[str, Rows]):
    planted: dict[str, set[int]] = {fact: set() for fact in FACTS}
    for fact, wording in studied.queries.rows[["fact_id", "template_id"]].itertuples(index=False):
        planted[fact].update(planted_neurons(FACTS.index(fact), wording))
    assert [len(planted[fact]) for fact in FACTS] == [1, 1, 2, 2]
    for localiser in METHODS:
        of_fact = {
            fact: {row["index"] for row in tables["neuron_sets"]
                   if (row["fact_id"], row["localiser"]) == (fact, localiser)}
            for fact in FACTS
        }  # fmt: skip
        assert of_fact == planted
    splits = {row["template_id"]: row["split"] for row in tables["neuron_sets"]}
    assert splits == {0: "seen_templates", 1: "seen_templates", 2: "held_out_templates"}


def test_consistency_of_planted_facts_stands_beside_its_nulls(tables: dict[str, Rows]):
    """The planted model answers nothing behind another text, and every answer is one fact's."""
    frame = pd.DataFrame(tables["consistency"])
    for localiser, sets in [(m, s) for m in METHODS for s in ("threshold", "top")]:
        own = frame[(frame["localiser"] == localiser) & (frame["sets"] == sets)]
        cs2 = {c: of.set_index("fact_id")["cs2"] for c, of in own.groupby("control")}
        assert set(cs2) == {"none", "other_facts", "random"}
        assert cs2["none"].to_dict() == {f: float(f in CONSISTENT) for f in FACTS}
        assert set(cs2["other_facts"].index) == set(FACTS) - {"fact-3"}, "alone in its relation"
        assert cs2["other_facts"].max() == 0
        assert len(cs2["random"]) == len(FACTS)
        if sets == "threshold":
            assert (own[own["control"].isin(["none", "random"])]["n_neurons"] == 1).all()
        of = {"localiser": localiser, "sets": sets, "measure": "cs2", "relation": "all"}
        paired = {**of, "control": "none - other_facts"}
        assert cell(tables["consistency_means"], **paired) == pytest.approx(2 / 3)
        assert cell(tables["consistency_means"], "n", **paired) == 3


def test_behind_other_texts_stand_queries_right_or_wrong_where_none_need_be_known(tmp_path: Path):
    config = replace(FEW, only_known=False)

    frame = study_model(subject(), config, tmp_path).consistency

    behind = frame[(frame["control"] == "context") & (frame["sets"] == "top")]
    assert sorted(behind["fact_id"]) == FACTS


def test_facts_with_the_same_answer_are_compared_too(tmp_path: Path):
    """Three facts of r0, asked in the same two wordings, of which nobody knows all answers."""
    table = prompts(answer_ids=[[FIRST_OBJECT]] * 9 + [[FIRST_OBJECT + 3]] * 3)
    two = table.take([row for row in range(12) if row % 3 < 2])

    frame = study_model(subject(prompts=two), replace(FEW, only_known=False), tmp_path).consistency

    same = frame[(frame["control"] == "same_answer") & (frame["sets"] == "threshold")]
    assert sorted(same["fact_id"]) == ["fact-0", "fact-1", "fact-2"], "fact-3 has another one"


def test_half_of_the_planted_facts_are_inconsistent_by_every_localiser(tables: dict[str, Rows]):
    of = {"threshold": "0.3", "sets": "threshold", "control": "none"}
    for localiser in (*METHODS, "all"):
        assert cell(tables["class_shares"], "share", **of, localiser=localiser) == 0.5
    of["control"] = "other_facts"
    assert cell(tables["class_shares"], "share", **of, localiser="all") == 1
    for table in ("mapping", "synapses", "neuron_edits"):
        for row in tables[table]:
            is_consistent = row["fact_id"] in CONSISTENT
            assert row["cls"] == ("consistent" if is_consistent else "inconsistent")


def test_effects_are_means_of_the_rows_of_facts(tables: dict[str, Rows]):
    rows = tables["mapping_effects"]
    of = {"neurons": "own", "sizes": "full", "factor": 0.0}
    frame = pd.DataFrame(tables["mapping"]).query("neurons == 'own' and sizes == 'full'")
    frame = frame[frame["factor"] == 0]
    for cls, members in (
        ("consistent", CONSISTENT),
        ("inconsistent", INCONSISTENT),
        ("all", FACTS),
    ):
        expected = frame[frame["fact_id"].isin(members)]["delta_prob"].mean()
        assert cell(rows, "delta_prob", cls=cls, **of) == pytest.approx(expected)
        assert cell(rows, "n", cls=cls, **of) == len(members)
    edits = pd.DataFrame(tables["neuron_edits"]).query("edit == 'erase' and neurons == 'local'")
    of_edit = {"cls": "all", "edit": "erase", "neurons": "local"}
    for measure, before in (("rel", 0), ("gen", 0), ("loc", 1), ("avg", 1 / 3), ("ppl_change", 0)):
        scores = {**of_edit, "measure": measure}
        assert cell(tables["edit_scores"], **scores) == pytest.approx(edits[measure].mean())
        assert cell(tables["edit_scores"], "before", **scores) == pytest.approx(before)
    synapses = pd.DataFrame(tables["synapses"])
    synapses = synapses.query("synapses == 'own' and factor == 2 and rows == 'raw'")
    of_synapses = {"cls": "all", "synapses": "own", "factor": 2.0, "rows": "raw"}
    found = cell(tables["synapse_effects"], measure="delta_kn", **of_synapses)
    assert found == pytest.approx(synapses["delta_kn"].mean())


def test_undefined_effects_are_left_out_and_counted(joint: Studied):
    mapped = joint.mapping.copy()
    mapped.loc[mapped["fact_id"] == "fact-1", "delta_prob"] = np.nan

    rows = query_localization_tables([replace(joint, mapping=mapped)], FEW)["mapping_effects"]

    for neurons in ("own", "own - union"):
        of = {"neurons": neurons, "sizes": "full", "factor": 0.0}
        for cls, n, n_total in (("consistent", 1, 2), ("inconsistent", 2, 2), ("all", 3, 4)):
            assert cell(rows, "n", cls=cls, **of) == n
            assert cell(rows, "n_total", cls=cls, **of) == n_total


def test_what_own_neurons_do_beyond_others_is_paired_by_fact(tables: dict[str, Rows]):
    """Facts for which one of both is not defined are in neither mean."""
    frame = pd.DataFrame(tables["mapping"]).query("sizes == 'full' and factor == 0")
    values = {name: of.set_index("fact_id")["delta_prob"] for name, of in frame.groupby("neurons")}
    of = {"sizes": "full", "factor": 0.0}
    n_facts = {"union": 4, "intersection": 4, "mismatched": 3}
    for name, n in n_facts.items():
        beyond = (values["own"] - values[name]).dropna()
        assert len(beyond) == n
        row = {**of, "neurons": f"own - {name}"}
        found = cell(tables["mapping_effects"], "delta_prob", cls="all", **row)
        assert found == pytest.approx(beyond.mean())
        assert cell(tables["mapping_effects"], "n", cls="all", **row) == n
        assert np.isnan(cell(tables["mapping_effects"], "n_neurons", cls="all", **row))
        both = cell(tables["mapping_effects"], "delta_prob", cls="consistent", **row)
        consistent = beyond[beyond.index.isin(CONSISTENT)]
        assert both == pytest.approx(consistent.mean(), abs=1e-6)
    inconsistent = {**of, "neurons": "own - union", "cls": "inconsistent"}
    assert cell(tables["mapping_effects"], "delta_prob", **inconsistent) < -0.9


def test_edits_have_the_score_before_of_the_untouched_model(tables: dict[str, Rows]):
    of = {"cls": "all", "edit": "erase", "neurons": "local"}
    before = {"rel": 0, "gen": 0, "gen_new": 0, "loc": 1, "loc_near": 1, "avg": 1 / 3}
    for measure, value in before.items():
        found = cell(tables["edit_scores"], "before", measure=measure, **of)
        assert found == pytest.approx(value)


def test_reasons_add_up_to_the_facts_that_there_are(tables: dict[str, Rows]):
    assert sum(row["n"] for row in tables["exclusions"]) == len(FACTS)
    assert {row["reason"] for row in tables["exclusions"]} == {"studied"}


def test_edits_are_of_facts_on_which_no_setting_was_chosen(
    studied: Studied, tables: dict[str, Rows]
):
    names = studied.queries.facts["fact_id"].to_numpy()
    edited = {row["fact_id"] for row in tables["neuron_edits"]}

    assert edited == set(names[studied.test])
    assert set(studied.tried["fact_id"]) == set(names[studied.dev])
    assert not edited & set(studied.tried["fact_id"])
    for edit, neurons in [(e, n) for e in ("erase", "update") for n in TUNED]:
        (chosen,) = [row for row in tables["consistent_choice"]
                     if (row["edit"], row["neurons"]) == (edit, neurons)
                     and row["chosen"]]  # fmt: skip
        used = {(row["beta"], row["tau"]) for row in tables["neuron_edits"]
                if (row["edit"], row["neurons"]) == (edit, neurons)}  # fmt: skip
        assert used == {(chosen["beta"], chosen["tau"])}


@pytest.mark.parametrize("whose", ["assigned", "known"])
def test_wordings_of_the_planted_arm_make_the_difference(tables: dict[str, Rows], whose: str):
    of = {"localiser": "joint", "sets": "threshold", "facts": whose}
    assert cell(tables["wording_effects"], "cs2", regime="reworded - repeated", **of) == 1
    assert cell(tables["wording_effects"], "n", regime="reworded", **of) == 2


def test_assigned_facts_are_compared_whether_they_are_known_or_not(tmp_path: Path):
    """fact-1 is reworded, and answered wrongly in all wordings but one."""
    rows = [(f, t, planted_ids(2 if (f, t) in {(1, 0), (1, 1)} else f, t))
            for f in range(4) for t in range(3)]  # fmt: skip
    config = replace(FEW, min_facts=3)
    one = subject(prompts=prompts(rows))

    run = study_model(one, config, tmp_path)

    assert "fact-1" not in set(run.consistency["fact_id"])
    assert set(run.wordings["fact_id"]) == {"fact-0", "fact-1", "fact-2"}, "of the arm"
    assert set(run.wordings["control"]) == {"none"}
    found = query_localization_tables([run], config)["wording_effects"]
    of = {"regime": "reworded", "localiser": "joint", "sets": "top"}
    assert cell(found, "n", facts="assigned", **of) == 2
    assert cell(found, "n", facts="known", **of) == 1
    none = facts().assign(arm="A0_full")
    assert assigned_consistency(subject(facts=none), config, tmp_path).empty


def test_maps_show_a_fact_of_each_class(studied: Studied, tables: dict[str, Rows]):
    maps = pd.DataFrame(tables["neuron_maps"])

    assert set(maps["cls"]) == {"consistent", "inconsistent"}
    assert set(maps["bin"]) == set(range(CONFIG.bins))
    untouched = maps[maps["synapses"] == "untouched"]
    brightest = untouched.loc[untouched.groupby(["cls", "query"])["attribution"].idxmax()]
    bins = brightest.set_index(["cls", "query"])["bin"]
    assert bins["consistent", 0] == bins["consistent", 1]
    rows = studied.queries.rows
    wording = rows[rows["fact_id"] == "fact-2"]["template_id"].iloc[0]
    assert bins["inconsistent", 0] == planted_neurons(2, wording)[0] // 4
    assert maps.groupby("cls")["fact_id"].first().to_dict() == {
        "consistent": "fact-0",
        "inconsistent": "fact-2",
    }, "the first by name of equals"


def test_the_summary_says_what_the_tables_say(tables: dict[str, Rows]):
    rows = summary_rows(tables, CONFIG, [0], "planted")

    assert {row["id"] for row in rows} == {"P3-a", "P3-b"}
    assert len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        if row["id"] == "P3-a":
            _, localiser, control = row["name"].split("/")
            of = {"localiser": localiser, "control": control, "sets": "threshold"}
            share = [r for r in tables["class_shares"] if r["threshold"] == "0.3" and
                     all(r[k] == v for k, v in of.items())]  # fmt: skip
            assert row["value"] == (share[0]["share"] if share else None), row["name"]
            assert row["n"] == (share[0]["n"] if share else 0)
            assert row["n_total"] == len(FACTS)
    edits = pd.DataFrame(tables["neuron_edits"])
    avg = edits.pivot_table(index="fact_id", columns="neurons", values="avg")
    gain = avg["consistent"] - avg["local"]
    assert cell(rows, name="gain/local/both") == pytest.approx(gain.mean())
    assert cell(rows, "n", name="gain/local/both") == gain.notna().sum()
    assert cell(rows, "n_total", name="gain/local/both") == edits["fact_id"].nunique()
    names = {f"gain/{o}/{e}" for o in ("local", "global", "equal") for e in EDITS}
    assert {row["name"] for row in rows} >= names
    assert {"inconsistent/all/same_answer", "inconsistent/all/context"} <= {
        row["name"] for row in rows
    }


def test_of_all_candidates_the_summary_tells_how_many(joint: Studied):
    """Also of those that are not studied."""
    more = pd.DataFrame([{"relation": "r0", "arm": "A0_full", "reason": "not known", "n": 5}])
    counts = pd.concat([joint.queries.counts, more])
    run = replace(joint, queries=replace(joint.queries, counts=counts))

    rows = summary_rows(query_localization_tables([run], FEW), FEW, [0], "planted")

    assert cell(rows, "n", name="inconsistent/all/none") == len(FACTS)
    assert cell(rows, "n_total", name="inconsistent/all/none") == len(FACTS) + 5


def test_what_was_not_measured_is_said_to_be_not(joint: Studied):
    """Without another answer to update to, without nulls, and without the arm of wordings."""
    alone = joint.queries.facts.assign(relation=[f"r{f}" for f in range(4)])
    editor = replace(joint.editor, queries=replace(joint.queries, facts=alone))
    tried = joint.tried[joint.tried["edit"] == "erase"]
    frame = joint.consistency[joint.consistency["control"] == "none"].assign(regime="")
    nobody = joint.wordings.iloc[:0]
    run = replace(joint, editor=editor, tried=tried, consistency=frame, wordings=nobody)

    found = query_localization_tables([run], FEW)
    rows = summary_rows(found, FEW, [0], "planted")

    assert_valid(found)
    assert set(found) == TABLES - {"wording_effects"}
    for name in ("gain/local/update", "inconsistent/all/context"):
        assert cell(rows, name=name) is None
        assert cell(rows, "interval", name=name) == "not measured"
    assert cell(rows, name="gain/local/erase") is not None


def test_metrics_are_named_for_what_they_are(tables: dict[str, Rows]):
    found = query_localization_metrics(tables, CONFIG.threshold)

    assert found["query_localization/inconsistent/all"] == 0.5
    assert found["query_localization/inconsistent/joint"] == 0.5
    assert found["query_localization/cs2/joint_none"] == 0.5
    assert found["query_localization/cs2/single_other_facts"] == 0
    avg = cell(tables["edit_scores"], cls="all", edit="erase", neurons="global", measure="avg")
    assert found["query_localization/erase/global"] == avg
    assert len([name for name in found if "/inconsistent/" in name]) == len(METHODS) + 1
    assert {name.split("/")[1] for name in found} == {"inconsistent", "cs2", "erase", "update"}
    assert not any(" " in name for name in found), "differences are no metrics"


def test_seeds_are_taken_together(joint: Studied):
    """Otsu cuts the facts of both runs at once: where all are alike it could not."""
    config = replace(FEW, thresholds=("otsu", 0.3), threshold="otsu")
    alike = joint.consistency.assign(seed=1, cs2=1.0)
    other = replace(joint, subject=replace(joint.subject, seed=1), consistency=alike)

    with pytest.raises(ValueError, match="otsu finds nothing to cut"):
        query_localization_tables([other], config)
    found = query_localization_tables([joint, other], config)
    rows = summary_rows(found, config, [0, 1], "both")

    assert_valid(found)
    for table in ("neuron_sets", "consistency", "mapping", "synapses", "neuron_edits"):
        assert {row["seed"] for row in found[table]} == {0, 1}, table
    assert {row["cls"] for row in found["mapping"] if row["seed"] == 1} == {"consistent"}
    assert cell(rows, name="inconsistent/all/none") == 0.25
    assert cell(rows, "n", name="inconsistent/all/none") == 2 * len(FACTS)
    assert "seeds" in cell(rows, "interval", name="gain/local/both")


def neurons(
    one: Subject, cache: Path, config: QueryLocalizationConfig = CONFIG
) -> dict[str, Tensor]:
    queries = choose_queries(one, config)
    return find_neurons(one, queries.ids, queries.answers, queries.k, config, cache)


def forbidden(*_args: object, **_kwargs: object) -> None:
    pytest.fail("attributed anew")


def test_a_second_study_attributes_nothing(
    studied: Studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = study_model(subject(), CONFIG, tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(attributions, "attribute", forbidden)

    second = study_model(subject(), CONFIG, tmp_path)

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert len(kept) == 3 * len(METHODS), "queries, those behind other texts, and of arm A8"
    for found in (second, studied):
        for method, values in first.found.items():
            assert torch.equal(values, found.found[method])
        pd.testing.assert_frame_equal(first.consistency, found.consistency)
        pd.testing.assert_frame_equal(first.mapping, found.mapping)
        pd.testing.assert_frame_equal(first.tried, found.tried)


def test_attributions_are_of_all_queries(studied: Studied):
    assert set(studied.found) == set(METHODS)
    for values in studied.found.values():
        assert values.shape == (4, 2, 1, 20)
        assert values.dtype == torch.float32


def test_tiny_attributions_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In half precision alone they would all be 0, and large ones infinite."""
    values = (
        torch.linspace(-1, 2, 20).expand(4, 1, 20) * torch.tensor([1e-12, 1, 1e9, 0])[:, None, None]
    )
    monkeypatch.setattr(attributions, "attribute", lambda *_args, **_kwargs: values.clone())
    ids = [[row] for row in range(4)]

    for _ in range(2):  # computed, then read
        found = find_neurons(subject(), ids, ids, 2, FEW, tmp_path)["joint"].flatten(0, 1)

        assert torch.equal(found.argsort(-1)[:3], values.argsort(-1)[:3])
        torch.testing.assert_close(found, values, rtol=1e-3, atol=0)
        monkeypatch.setattr(attributions, "attribute", forbidden)


def test_another_model_or_setting_is_attributed_anew(tmp_path: Path):
    first = neurons(subject(), tmp_path)
    n_files = len(list(tmp_path.iterdir()))

    other = subject(identity="changed")
    with torch.no_grad():
        other.model.transformer.h[0].mlp.c_proj.weight.mul_(0.5)
    changed = neurons(other, tmp_path)

    assert len(list(tmp_path.iterdir())) == 2 * n_files
    assert not torch.equal(changed["joint"], first["joint"])
    neurons(subject(), tmp_path, replace(CONFIG, k=3))
    assert len(list(tmp_path.iterdir())) == 3 * n_files, "other queries"


def test_only_a_method_with_a_path_depends_on_its_points(tmp_path: Path):
    neurons(subject(), tmp_path)
    before = set(tmp_path.iterdir())

    neurons(subject(), tmp_path, replace(CONFIG, steps=7, grid="right"))

    new = set(tmp_path.iterdir()) - before
    assert sorted(path.name.split("-")[0] for path in new) == ["joint"]


def test_one_localiser_alone_and_no_text_will_do(tmp_path: Path):
    config = replace(CONFIG, localisers=("single",), localiser="single", thresholds=(0.3,))

    found = query_localization_tables([study_model(subject(text=None), config, tmp_path)], config)

    assert_valid(found)
    of = {"threshold": "0.3", "sets": "threshold", "control": "none"}
    assert cell(found["class_shares"], "share", **of, localiser="all") == 0.5
    assert "ppl_change" not in {row["measure"] for row in found["edit_scores"]}
    assert np.isnan([row["ppl_change"] for row in found["neuron_edits"]]).all()


def test_facts_that_nothing_else_is_known_of_are_refused_before_they_are_attributed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """All of one relation and with one answer: no context, no unrelated query, no update."""
    monkeypatch.setattr(attributions, "attribute", forbidden)
    alike = facts().assign(relation="r0")
    config = replace(CONFIG, min_facts=1, facts=["fact-0"])

    with pytest.raises(ValueError, match=r"one relation and one answer.*study\.facts"):
        study_model(subject(facts=alike), config, tmp_path)


def test_more_neurons_than_there_are_is_refused_before_they_are_attributed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attributions, "attribute", forbidden)

    with pytest.raises(ValueError, match=r"study\.top: 21 .* 20 neurons"):
        study_model(subject(), replace(CONFIG, top=21), tmp_path)
