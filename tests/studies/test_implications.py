"""What edits imply: which facts restate which, what is edited into what, and what is asked
(methods 6.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from coemerge.editing.outcome import Outcome
from coemerge.editing.requests import Request, edited_at
from coemerge.interventions.edits import Edit
from coemerge.studies.knowledge_neurons.agreement import UNTOUCHED, agreements, predictor
from coemerge.studies.knowledge_neurons.checks import CHECKS, Other, Questions, others, questions
from coemerge.studies.knowledge_neurons.completions import examples
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.families import (
    FAMILIES,
    SYMMETRY,
    SYNONYMY,
    Planned,
    planned,
    restatements,
)
from coemerge.studies.knowledge_neurons.implications import Implied, answered_right, implied
from coemerge.studies.knowledge_neurons.subject import Chosen, Subject
from coemerge.studies.shared.editors import Editors
from coemerge.studies.shared.wordings import Wording
from coemerge.tables.store import make_table, table_schema
from tests.interventions.models import logits_of, n_hooks
from tests.studies.planted_sides import BOLD, LAYER, make_model, model
from tests.studies.restated_facts import (
    FULL,
    ONE_DIRECTION,
    Store,
    facts,
    first_wordings,
    looks_up,
    rewired,
    store_of,
)

# --- which facts restate which ---


def pairs_of(of: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, str]]:
    found = restatements(of).groupby(["family", "edited", "asked"])
    return {key: dict(zip(g["fact"], g["restated"], strict=True)) for key, g in found}  # type: ignore[misc]


def test_restatements_are_found_by_their_roots_in_both_directions():
    found = pairs_of(facts(3, withheld=(1,)))
    there = {f"capital-{i}": f"capital_of-{i}" for i in range(3)}
    alike = {f"occupation-{i}": f"field-{i}" for i in range(3)}
    assert found == {
        (SYMMETRY, "capital", "capital_of"): there,
        (SYMMETRY, "capital_of", "capital"): {b: a for a, b in there.items()},
        (SYNONYMY, "occupation", "field"): alike,
        (SYNONYMY, "field", "occupation"): {b: a for a, b in alike.items()},
    }


def test_without_roots_an_inverse_is_found_by_content_and_a_synonym_is_not():
    """Three of the four cities of capital_of are those of capital; of two of five it would not be
    most."""
    of = facts(5).assign(root_id=lambda frame: frame["fact_id"])
    of = of[of["fact_id"] != "capital_of-4"]
    of.loc[of["fact_id"] == "capital_of-3", "object"] = "country 9"
    found = pairs_of(of)
    assert {key: len(pairs) for key, pairs in found.items()} == {
        (SYMMETRY, "capital", "capital_of"): 3,
        (SYMMETRY, "capital_of", "capital"): 3,
    }
    of.loc[of["fact_id"] == "capital_of-2", "object"] = "country 8"
    assert not pairs_of(of)


def test_a_relation_may_be_its_own_inverse():
    rows = [("spouse-0", "a", "b"), ("spouse-1", "b", "a"), ("spouse-2", "c", "c")]
    of = pd.DataFrame(rows, columns=["fact_id", "subject", "object"])
    of = of.assign(relation="spouse", root_id=of["fact_id"], arm="", detail="", documents=1.0)
    expected = {"spouse-0": "spouse-1", "spouse-1": "spouse-0"}
    assert pairs_of(of) == {(SYMMETRY, "spouse", "spouse"): expected}


# --- what is edited into what ---


def donors(plans: Sequence[Planned], edited: str) -> dict[int, int]:
    return {
        int(p.fact.split("-")[1]): int(p.donor.split("-")[1]) for p in plans if p.edited == edited
    }


def plan(of: pd.DataFrame, **changes: Any) -> list[Planned]:
    usual = {"asked": first_wordings(of), "editable": set(of["fact_id"])}
    return planned(of, **{**usual, **changes})


def test_the_new_object_is_that_of_the_preceding_fact_with_the_same_exposure():
    """0 to 2 are of one arm, 3 to 7 of the other, of which 5 to 7 are never restated."""
    of = facts()
    plans = plan(of)
    assert donors(plans, "capital") == {0: 2, 1: 0, 2: 1, 3: 4, 4: 3, 5: 7, 6: 5, 7: 6}
    assert donors(plans, "capital_of") == {0: 2, 1: 0, 2: 1, 3: 4, 4: 3}  # the others: never shown
    assert all(p.restated.split("-")[1] == p.fact.split("-")[1] for p in plans)
    assert all(p.donor_restated.split("-")[1] == p.donor.split("-")[1] for p in plans)
    exposure = {(p.edited, p.fact.split("-")[1]): (p.arm, p.stated) for p in plans}
    assert exposure["capital", "0"] == (FULL, "yes")
    assert exposure["capital", "6"] == exposure["occupation", "6"] == (ONE_DIRECTION, "no")
    assert exposure["field", "4"] == (ONE_DIRECTION, "yes")


def test_facts_alone_in_their_condition_and_facts_that_are_not_asked_are_not_edited():
    of = facts(4, withheld=(2,))
    assert donors(plan(of), "capital") == {0: 1, 1: 0}  # 2 and 3 have nobody
    asked = {name: w for name, w in first_wordings(of).items() if name != "capital-1"}
    assert not donors(plan(of, asked=asked), "capital")


def test_an_answer_that_begins_alike_or_is_true_as_well_is_passed_over():
    """People 0, 3 and 6 share a trade; country 1 has the city of 0 as a second capital."""
    of = facts(7, withheld=(), n_full=7)
    assert donors(plan(of), "occupation") == {0: 5, 1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5}
    second = of[of["fact_id"] == "capital-1"].assign(
        fact_id="capital-9", object="city 0", root_id="capital-9"
    )
    more = pd.concat([of, second], ignore_index=True)
    assert donors(plan(more), "capital") == {0: 6, 1: 6, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5}


def test_what_a_model_knows_does_not_change_what_another_fact_becomes():
    of = facts(4, withheld=(), n_full=4)
    everything = donors(plan(of), "capital")
    assert donors(plan(of, editable={"capital-0", "capital-2"}), "capital") == {
        fact: everything[fact] for fact in (0, 2)
    }


def test_where_nobody_knows_what_was_shown_everything_may_be_edited():
    plans = plan(facts(4).assign(documents=np.nan, arm="elsewhere"))
    assert {p.stated for p in plans} == {"unknown"}
    assert len(plans) == 4 * 4


# --- token agreement ---


def test_agreement_is_the_share_of_tokens_each_after_the_right_ones_and_nothing_is_read_twice():
    table: Store = {(1, 2): [5, 6, 7], (1, 3): [8]}
    said = looks_up(table)
    n_rows = []

    def counted(rows: Sequence[Sequence[int]], edit_of_row: np.ndarray, n: int) -> np.ndarray:
        n_rows.append(len(rows))
        return said(rows, edit_of_row, n)

    asked = [((1, 2), [5, 0, 7]), ((1, 3), [8]), ((1, 3), [4]), ((1, 2), [5, 6, 7])]
    found = agreements(asked, np.full(4, UNTOUCHED), counted)
    assert found == pytest.approx([2 / 3, 1, 0, 1])
    assert n_rows == [1, 2]  # of one token: the same prompt; of three: other tokens before
    assert agreements([], np.zeros(0, int), said).tolist() == []


def test_a_model_is_read_after_the_right_tokens():
    prompt, answer = (3, 4, 5), [7, 8, 9]
    logits = logits_of(model(), torch.tensor([[*prompt, *answer[:-1]]]))[0, -3:]
    right = logits.argmax(-1).tolist()
    read = predictor(model())
    assert read([(*prompt, *answer[:-1])], np.array([UNTOUCHED]), 3).tolist() == [right]
    asked = [(prompt, [right[0]]), (prompt, [answer[0], right[1]])]
    expected = [1, (0.5 if right[0] != answer[0] else 1)]
    assert agreements(asked, np.full(2, UNTOUCHED), read).tolist() == expected


# --- checks, by a model that is a table ---


def by_table(both: bool, known: bool = True) -> tuple[Questions, np.ndarray, np.ndarray]:
    """All edits of the world, written into a table."""
    of = facts()
    asked, plans = first_wordings(of), plan(of)
    store = store_of(asked)
    right = answered_right(asked, looks_up(store)) if known else set()
    found = questions(plans, asked, right)
    edited = [rewired(store, one, asked, both) for one in plans]
    before = agreements(found.asked, np.full(len(found.plan), UNTOUCHED), looks_up(store))
    return found, before, agreements(found.asked, np.array(found.plan), looks_up(store, edited))


def test_a_table_rewired_in_both_directions_brings_all_that_is_implied():
    """T-Y5. The second token of every city is the same: of it half remains in any case."""
    found, before, after = by_table(both=True)
    rows = found.rows.assign(pre=before, post=after)
    a_city = (rows["asked"] == "capital") & rows["check"].str.startswith("inverse")
    a_city |= (rows["edited"] == "capital") & rows["check"].isin(["source_old", "rewrite"])
    shared = np.where(a_city, 0.5, 0.0)
    holds, falls = rows["expected"] == "holds", rows["expected"] == "falls"
    assert (rows["post"][holds] == 1).all()
    assert (rows["post"][falls] == shared[falls]).all()
    assert (rows["pre"][holds] == shared[holds]).all()
    assert (rows["pre"][falls] == 1).all()
    assert (rows["post"][rows["check"] == "inverse_swapped"] == 1).all()
    assert rows["known"].all()
    assert {f: set(rows["check"][rows["family"] == f]) for f in FAMILIES} == {
        f: {check for check in CHECKS[f] if not check.startswith("unrelated")} for f in FAMILIES
    }


def test_a_table_rewired_in_one_direction_brings_the_rewrite_alone():
    found, before, after = by_table(both=False)
    of_the_edit = found.rows["check"].isin(["source_old", "rewrite"]).to_numpy()
    assert (after != before)[of_the_edit].all()
    assert (after == before)[~of_the_edit].all()


def test_known_is_what_restates_both_facts():
    of = facts(3, withheld=())
    asked, plans = first_wordings(of), [p for p in plan(of) if p.edited == "capital"]
    right = set(asked) - {"capital_of-0"}
    known = questions(plans, asked, right).rows.groupby("fact_id")["known"].agg(set)
    assert known.to_dict() == {"capital-0": {False}, "capital-1": {False}, "capital-2": {True}}


def test_a_check_without_a_prompt_is_missing():
    of = facts(3, withheld=())
    plans = [p for p in plan(of) if p.fact == "capital-0"]  # takes the city of 2
    asked = {name: w for name, w in first_wordings(of).items() if name != "capital_of-2"}
    rows = questions(plans, asked, set(asked)).rows
    assert rows["check"].tolist() == ["source_old", "rewrite", "inverse_old"]
    assert not rows["known"].any()


def with_homes(of: pd.DataFrame, n: int = 3) -> pd.DataFrame:
    """And where the first people live: the last two at the same place."""
    homes = [
        {**row, "fact_id": f"home-{i}", "relation": "home", "object": f"city {min(i, n - 2)}",
         "root_id": f"home-{i}"}
        for i, row in enumerate(of[of["relation"] == "occupation"].to_dict("records")[:n])
    ]  # fmt: skip
    return pd.concat([of, pd.DataFrame(homes)], ignore_index=True)


def test_what_else_is_said_of_a_subject_is_of_other_roots_and_relations():
    of = with_homes(facts(3, withheld=(), n_full=3))
    plans = plan(facts(3, withheld=(), n_full=3))
    found = {p.fact: told for p, told in zip(plans, others(plans, of), strict=True)}
    assert found["capital-0"] == found["capital_of-1"] == []
    assert found["occupation-0"] == found["field-0"] == [Other("home-0", "home-2")]
    assert found["occupation-1"] == [Other("home-1", "home-0")]
    (alone,) = others([p for p in plans if p.fact == "field-0"], of[of["fact_id"] != "home-2"])
    assert alone == [Other("home-0", None)]


def test_unrelated_facts_are_asked_where_they_were_right_before_and_averaged():
    of = facts(3, withheld=())
    plans = [p for p in plan(of) if p.edited == "occupation"]
    asked = first_wordings(of)
    homes = {
        f"home-{i}": Wording([1, 90, 300 + i, 2], (2, 3), [600 + min(i, 1)], "", 0)
        for i in range(3)
    }
    asked |= homes
    beside = others(plans, with_homes(of))
    found = questions(plans, asked, set(asked) - {"home-1"}, beside)
    unrelated = found.rows[found.rows["check"].str.startswith("unrelated")]
    told = list(zip(unrelated["fact_id"], unrelated["check"], strict=True))
    assert told == [  # of 1 nothing was right, and 2 lives where 1 does, whose trade it takes
        ("occupation-0", "unrelated_kept"),
        ("occupation-0", "unrelated_donor"),
        ("occupation-2", "unrelated_kept"),
    ]
    places = [found.row.index(i) for i in unrelated.index]
    assert [found.asked[i] for i in places] == [
        (homes["home-0"].ids, [600]), (homes["home-0"].ids, [601]), (homes["home-2"].ids, [601])
    ]  # fmt: skip
    two = Questions(found.rows[:2], [0, 0, 1], found.asked[:3], [0, 0, 1])
    assert two.by_row(np.array([1.0, 0.0, 1.0])).tolist() == [0.5, 1.0]


# --- edits of a model ---


@cache
def small_world() -> tuple[pd.DataFrame, pa.Table]:
    """Four facts that a model of random weights answers right, and their inverse, which it was
    never told, and one of which cannot be asked."""
    rows: list[tuple[int, int]] = []
    for subject in range(20, 60):
        obj = int(logits_of(model(), torch.tensor([[10, subject, 11]]))[0, -1].argmax())
        if obj not in {o for _, o in rows} and len(rows) < 4:
            rows.append((subject, obj))
    of, asked = [], []
    for relation, root, first, swap in (("to", "to", 10, 1), ("from", "to", 12, -1)):
        for i, pair in enumerate(rows):
            s, o = pair[::swap]
            name = f"{relation}-{i}"
            of.append((name, relation, "arm", "", str(s), str(o), f"{root}-{i}", 5.0 * (swap > 0)))
            prompt = {"text": f"{relation} {s}", "ids": [first, s, first + 1], "answer_ids": [o]}
            span = {"subject_start": 1, "subject_stop": 2, "template_id": 0}
            asked.append({"fact_id": name, "task": "completion", "variant": 0, **span, **prompt})
    columns = ["fact_id", "relation", "arm", "detail", "subject", "object", "root_id", "documents"]
    table = pa.Table.from_pylist([{**row, "split": "seen_templates"} for row in asked[:-1]])
    return pd.DataFrame(of, columns=columns), table


def subject(net: torch.nn.Module, **changes: Any) -> Subject:
    of, asked = small_world()
    usual: dict[str, Any] = {
        "model": net, "identity": "", "seed": 3, "pairs": (), "words": {}, "token_ids": {},
        "cooccurrence": None, "prompts": asked, "facts": of, "text": (),
        "decode": lambda ids: f" {' '.join(map(str, ids))}", "opening": None, "separator": (),
        "start": 0,
    }  # fmt: skip
    return Subject(**{**usual, **changes})


CONFIG = KnowledgeNeuronsConfig(contexts=((2, 1),), bootstrap_draws=50)
FT = {"ft": Chosen("ft", LAYER, BOLD["ft"], "last")}


@dataclass
class Idle:
    """An editor that does nothing, and remembers what was asked of it."""

    seen: list[tuple[str, Sequence[Request], int, Mapping]] = field(default_factory=list)

    def outcomes(self, *asked: Any) -> list[Outcome]:
        self.seen.append(asked)
        return [Outcome(Edit(), 0.0, 0, False, False) for _ in asked[1]]


def test_an_edit_that_does_nothing_implies_nothing():
    """T-Y4."""
    idle: Any = Idle()
    found = implied(subject(model()), idle, {**FT, "kn": FT["ft"]}, CONFIG)
    assert len(found.rows) > 0
    assert found.rows["post"].tolist() == found.rows["pre"].tolist()
    assert found.completions["post"].tolist() == found.completions["pre"].tolist()
    assert len(idle.seen) == 2  # all requests of an editor at once


def real(**changes: Any) -> tuple[torch.nn.Module, Implied]:
    net = make_model()
    of = subject(net, **changes)
    return net, implied(of, Editors(net, CONFIG, {}, start=0), FT, CONFIG)


def test_edits_of_a_model_are_rewritten_asked_and_told_and_the_model_is_left():
    net, found = real()
    share = found.rows.groupby("check")[["pre", "post"]].mean()
    assert share.loc["rewrite"].tolist() == [0, 1]
    assert share.loc["source_old"].tolist() == [1, 0]
    assert found.rows["stated"].unique().tolist() == ["no"]
    assert set(found.rows["edited"]) == {"to"}
    assert set(found.rows["seed"]) == {3}
    counts = found.rows["check"].value_counts()
    # the inverse of the last cannot be asked: its own checks, and those of whom it gives its object
    assert counts["rewrite"] == 4
    assert counts["inverse_old"] == counts["inverse_displaced"] == 3
    assert counts["inverse_new"] == counts["inverse_swapped"] == 2
    before = make_model().state_dict()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert (net.training, n_hooks(net)) == (False, 0)


def test_completions_are_what_the_model_says_and_rows_are_of_their_records():
    _, found = real()
    of = small_world()[0].set_index("fact_id")["object"]
    said = found.completions
    assert set(said["check"]) == {"rewrite", "inverse_new", "inverse_old"}
    rewrites = said[said["check"] == "rewrite"].set_index("fact_id")
    assert len(rewrites) == CONFIG.examples
    for fact, row in rewrites.iterrows():
        assert row["pre"].split()[0] == of[fact]
        assert row["post"].split()[0] == row["expected"]
        assert row["edit"].endswith(f"-> {row['expected']} (was: {of[fact]})")
    assert said["expected"][said["check"] == "inverse_old"].str.startswith("not ").all()
    for name, frame in (("implications", found.rows), ("completions", found.completions)):
        keys = [f for f in table_schema(name).names if f in ("editor", "fact_id", "check")]
        assert not frame.duplicated(keys).any()
        make_table(name, {column: frame[column].tolist() for column in frame})


def test_edits_are_asked_for_at_the_token_and_of_the_facts_that_are_wanted():
    idle: Any = Idle()
    config = KnowledgeNeuronsConfig(facts=["to-1", "to-3"], arms=["arm"])
    found = implied(subject(model()), idle, {"ft": Chosen("ft", 2, {}, "first")}, config)
    ((editor, requests, layer, _),) = idle.seen
    assert (editor, layer, set(found.rows["fact_id"])) == ("ft", 2, {"to-1", "to-3"})
    assert [edited_at(one, "first") for one in requests] == requests
    assert implied(subject(model()), idle, FT, KnowledgeNeuronsConfig(arms=["no"])).rows.empty


def test_facts_of_subjects_that_settings_were_chosen_on_are_not_reported():
    idle: Any = Idle()
    of = subject(model())
    everything = implied(of, idle, FT, CONFIG).rows
    kept = str(of.facts.set_index("fact_id").loc[everything["fact_id"].iloc[0], "subject"])
    told = implied(of, idle, FT, CONFIG, {kept}).rows
    left_out = set(everything["fact_id"]) - set(told["fact_id"])
    assert left_out == set(of.facts.loc[of.facts["subject"] == kept, "fact_id"])
    inverse = str(of.facts.set_index("fact_id").loc[everything["fact_id"].iloc[0], "object"])
    restated = implied(of, idle, FT, CONFIG, {inverse}).rows
    assert set(restated["fact_id"]) == set(told["fact_id"])


def test_facts_that_are_answered_wrong_are_not_edited_and_still_give_their_objects():
    rows = small_world()[1].to_pylist()
    rows[0]["answer_ids"] = [rows[0]["answer_ids"][0], 5]  # its second token is not what is said
    assert (
        logits_of(model(), torch.tensor([[*rows[0]["ids"], rows[0]["answer_ids"][0]]]))[
            0, -1
        ].argmax()
        != 5
    )
    idle: Any = Idle()
    found = implied(subject(model(), prompts=pa.Table.from_pylist(rows)), idle, FT, CONFIG)
    assert set(found.rows["fact_id"]) == {f"to-{i}" for i in range(1, 4)}
    ((_, requests, *_),) = idle.seen
    assert rows[0]["answer_ids"] in [list(one.goal.target) for one in requests]


def test_a_world_of_syntax_alone_has_no_rows_but_their_columns():
    of, asked = small_world()
    none = subject(model(), facts=of[:0], prompts=asked[:0])
    editors: Any = Idle()
    for found in (
        implied(none, editors, FT, CONFIG),
        implied(subject(model()), editors, {}, CONFIG),
    ):
        assert found.rows.empty
        assert found.completions.empty
        assert found.rows.columns.tolist() == table_schema("implications").names
        assert found.completions.columns.tolist() == table_schema("completions").names


def test_examples_are_first_of_what_was_stated_and_is_known_relations_in_turn():
    of = facts()
    plans = plan(of)
    known = {"capital_of-3", "capital_of-4", "capital-3", "capital-4"}
    shown = examples(plans, known, 3)
    assert [plans[i].fact for i in shown] == [
        "capital-3", "capital_of-3", "capital-4", "occupation-0", "field-0", "occupation-1"
    ]  # fmt: skip


def test_wordings_are_the_first_that_training_showed():
    """The first template was held out."""
    found: dict[str, Wording] = first_wordings(facts(2))
    assert {prompt.template_id for prompt in found.values()} == {1}
