"""Tracing both sides of a fact: which prompts, what is corrupted, the control, and the tables."""

from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from coemerge.corpus.dataset import Dataset, build_dataset
from coemerge.localization.causal_tracing import total_effects, trace
from coemerge.localization.tracing_noise import noise_scale
from coemerge.localization.tracing_prompts import (
    SPAN_ROLES,
    SUBJECT_ROLES,
    TracedPrompt,
    outside_subject,
    positions_of,
    role_masks,
)
from coemerge.localization.tracing_result import TracingResult
from coemerge.prompts.tasks import NAMING
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.neutral import NeutralTexts, behind_neutral_texts
from coemerge.studies.entity_relation.tracing import (
    Asked,
    Setting,
    Traced,
    relation_spans,
    site_of,
    trace_sides,
    tracing_prompts,
)
from coemerge.studies.entity_relation.tracing_tables import tracing_tables
from coemerge.tables.entity_relation_records import ENTITY_RELATION_RECORDS
from coemerge.tables.store import make_table
from tests.interventions.models import logits_of, make_model, n_hooks, shared_model, tokens
from tests.localization.models import (
    FIRST_OBJECT,
    FIRST_SUBJECT,
    FIRST_TASK,
    planted_model,
    prompt_table,
)

SAME = 1e-5  # probabilities of float32 models, summed in another order
TINY = {"samples": 3, "noise_std": None, "noise_scale": 20.0, "min_total_effect": 1e-3}
OPENING = 9


def config(**changes: Any) -> EntityRelationConfig:
    return EntityRelationConfig(**{"tracing": TINY, "bootstrap_draws": 200, **changes})


@cache
def deep_model() -> GPT2LMHeadModel:
    """With layers above those that a token's severed outputs could reach."""
    shape = {"n_embd": 32, "n_layer": 4, "n_head": 2, "n_positions": 8, "vocab_size": 60}
    special = {"bos_token_id": None, "eos_token_id": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPT2LMHeadModel(GPT2Config(initializer_range=0.2, **shape, **special)).eval()


def random_asked(n: int = 5, model: Any = None) -> list[Asked]:
    """Prompts of a random model, each answered by what it finds likeliest."""
    found = []
    for f in range(n):
        ids = [OPENING, *tokens(5 + f % 2, seed=f).tolist()]
        answer = int(logits_of(model or shared_model("gpt2"), torch.tensor([ids]))[0, -1].argmax())
        found.append(Asked(f"fact-{f}", f"r{f % 2}", "arm", f % 4, ids, [answer], (2, 4)))
    return found


# --- prompts ---


def table(facts: int = 4, templates: int = 3) -> Any:
    rows = [
        (f, 0, t, [FIRST_TASK, FIRST_SUBJECT + f, t], f)
        for t in reversed(range(templates))
        for f in range(facts)
    ]
    columns = prompt_table(rows).to_pydict()
    return make_table("prompts", {**columns, "task": ["completion"] * len(rows)})


def facts_of(relations: list[str]) -> pd.DataFrame:
    names = [f"fact-{f}" for f in range(len(relations))]
    return pd.DataFrame({"fact_id": names, "relation": relations, "arm": "arm"})


def test_wordings_take_turns_over_the_facts_of_a_relation_and_relations_over_facts():
    found = tracing_prompts(table(), facts_of(["r", "r", "s", "r"]), config(wordings=2))
    assert [(a.fact_id, a.template_id) for a in found] == [
        ("fact-0", 0),
        ("fact-2", 0),
        ("fact-1", 1),
        ("fact-3", 0),
    ]
    assert found[2].ids == [FIRST_TASK, FIRST_SUBJECT + 1, 1]
    assert (found[2].answer_ids, found[2].subject) == ([FIRST_OBJECT + 1], (1, 2))

    few = tracing_prompts(table(), facts_of(["r", "r", "s", "r"]), config(traced_facts=2))
    assert [a.fact_id for a in few] == ["fact-0", "fact-2"]
    assert tracing_prompts(table(), facts_of(["r"]), config(traced_facts=0)) == []
    assert tracing_prompts(table(), facts_of(["r"]), config(task="fitb")) == []


def test_facts_that_are_not_asked_take_no_turn():
    facts = facts_of(["r"] * 5).iloc[[4, 0, 1]]
    found = tracing_prompts(table(), facts, config(wordings=3))
    assert [(a.fact_id, a.template_id) for a in found] == [("fact-0", 0), ("fact-1", 1)]


@pytest.fixture(scope="module")
def dataset(compose_settings, tmp_path_factory) -> Dataset:
    spec = compose_settings("experiment=smoke", "logger=none", "prompts=with_relations").dataset
    spec.world.use = ["birthplace", "occupation"]
    spec.world.types["person"].size = 12
    plan = spec.corpus.plan
    plan.tasks = ["completion", NAMING]
    plan.documents = {"completion": 4, NAMING: 8}
    plan.arms.shares = {"both_sides": 1.0}
    return build_dataset(spec, tmp_path_factory.mktemp("data") / "traced", progress=False)


@pytest.mark.parametrize("task", ["completion", NAMING])
@pytest.mark.parametrize("opening", [None, 1])
def test_t_r3_subject_and_relation_cover_the_prompt(dataset, task, opening):
    """But for the token that opens a document and the one where the answer is predicted."""
    facts = dataset.facts.to_pandas()[["fact_id", "relation", "arm"]]
    found = tracing_prompts(dataset.prompts, facts, replace(config(), task=task, wordings=10))

    assert len({a.template_id for a in found}) == 10
    for asked in found:
        if opening is not None:  # as a tokenizer with such a token would give
            start, stop = asked.subject
            asked = replace(asked, ids=[opening, *asked.ids], subject=(start + 1, stop + 1))
        relation = positions_of(relation_spans(asked, opening))
        subject = [*range(*asked.subject)]
        first = 0 if opening is None else 1
        assert sorted(relation + subject) == list(range(first, len(asked.ids) - 1))
        assert dataset.tokenizer.decode(asked.ids[-1:]).strip()


# --- tracing ---


def test_every_corruption_is_of_the_same_prompts_under_the_same_noise():
    model, asked = shared_model("gpt2"), random_asked()
    found = trace_sides(model, asked, config(), seed=3, opening=OPENING)

    assert list(found.bare.results) == ["subject", "relation", "both"]
    assert (found.seed, found.left_out, found.bare.asked) == (3, 0, asked)
    prompts = [
        TracedPrompt(a.ids, a.answer_ids[0], (2, 4), outside_subject(len(a.ids), (2, 4), 1))
        for a in asked
    ]
    std = noise_scale(model, prompts, config().traced("subject"))
    for corrupt, result in found.bare.results.items():
        alone = trace(model, prompts, replace(config().traced(corrupt), noise_std=std))
        assert result.noise_std == found.noise_std == std
        assert np.array_equal(result.effects["mlp"], alone.effects["mlp"], equal_nan=True)
        assert found.bare.kept[corrupt].tolist() == (alone.total_effect > 1e-3).tolist()
    assert all(result.noise_std == std for result in found.prefixed.results.values())
    assert found.bare.results["subject"].role_names == SUBJECT_ROLES
    assert found.bare.results["relation"].role_names == SPAN_ROLES


def test_planted_facts_need_their_subject_and_their_format():
    """A prompt [format, subject, question] is answered by the neuron of the first two."""
    asked = tracing_prompts(table(), facts_of(["r", "s", "r", "s"]), config())
    noisy = config(tracing={"noise_std": 3.0, "samples": 20})
    found = trace_sides(planted_model(), asked, noisy, seed=0)

    for corrupt in ("subject", "relation", "both"):
        assert found.bare.kept[corrupt].all(), corrupt
        assert (found.bare.results[corrupt].total_effect > 0.3).all()
        assert [p.corrupted(corrupt) for p in found.bare.prompts] == [
            {"subject": [1], "relation": [0], "both": [0, 1]}[corrupt]
        ] * len(asked)
    with pytest.raises(ValueError, match=r"of 1 layers .* study.layers=\[2\]"):
        site_of(found)  # nothing above the only layer reads a subject


def test_the_model_is_left_as_found_and_the_same_again():
    model = make_model("gpt2").train()
    before = {p: p.detach().clone() for p in model.parameters()}

    first, again = (trace_sides(model, random_asked(), config(), 0, OPENING) for _ in range(2))

    assert all(module.training for module in model.modules())
    assert all(torch.equal(p, value) and p.grad is None for p, value in before.items())
    assert n_hooks(model) == 0
    assert first.prefixed.prompts == again.prefixed.prompts
    tables = [tracing_tables([one], config()) for one in (first, again)]
    assert repr(tables[0]) == repr(tables[1])


def test_t_r4_prompts_without_relation_tokens_are_left_out_and_counted(caplog):
    """[opening, subject, last]: nothing could be corrupted, so that the effect would be 0."""
    empty = Asked("empty", "r0", "arm", 0, [OPENING, 1, 2, 3], [5], (1, 3))
    assert relation_spans(empty, OPENING) == []
    asked = random_asked()

    with caplog.at_level("WARNING"):
        found = trace_sides(shared_model("gpt2"), [empty, *asked], config(), 0, OPENING)

    assert found.left_out == 1
    assert found.bare.asked == asked
    assert "1 prompts have no token that is the relation's" in caplog.text
    kept = trace_sides(shared_model("gpt2"), [empty], config(), 0, opening=None)
    assert kept.left_out == 0, "without an opening token the first one is the relation's"


def test_nothing_to_trace():
    found = trace_sides(shared_model("gpt2"), [], config(), seed=0)
    assert (found.bare.asked, found.prefixed.asked, found.noise_std) == ([], [], 0.0)
    tables = tracing_tables([found], config())
    assert [len(rows) for rows in tables.values()] == [0, 6, 0, 0]
    assert all(row["n"] == row["n_kept"] == 0 for row in tables["tracing_totals"])
    with pytest.raises(ValueError, match=r"of 0 prompts none.*study.layers=\[2\]"):
        site_of(found)
    assert not any(tracing_tables([], config()).values())


def test_the_best_site_is_that_of_the_mlp_in_windows_of_one_size():
    """Of the first prompt the MLPs give back 0.5, 0.2 and 0.3, the first in half a window."""
    traced = made(
        [[[0.9, 0.5], [0.3, 0.2], [0.1, 0.3], [0, 9]], [[0.0] * 2, [9.0] * 2, [0.0] * 2, [0.0] * 2]]
    )
    windows = np.array([1, 2, 2, 2])
    subject = replace(traced.bare.results["subject"], windows=windows)
    traced = replace(traced, bare=replace(traced.bare, results={"subject": subject}))
    assert site_of(with_kept(traced, subject=[True, False]))[:2] == ("last", 2)
    assert site_of(with_kept(traced, subject=[False, True]), ["last"])[:2] == ("last", 1)
    with pytest.raises(ValueError, match=r"of 2 prompts none .*study.layers=\[2\]"):
        site_of(with_kept(traced, subject=[False, False]))


def test_without_what_names_a_layer_the_remedy_is_said():
    settings = {**TINY, "kinds": ("attn",), "severed": ()}
    found = trace_sides(shared_model("gpt2"), random_asked(2), config(tracing=settings), 0, OPENING)
    with pytest.raises(ValueError, match=r"study.tracing.kinds.*study.layers"):
        site_of(found)
    rows = tracing_tables([found], config(tracing=settings))
    assert {row["kind"] for row in rows["tracing_effects"]} == {"attn"}
    assert rows["attention_shares"] == []


# --- the neutral control ---


def texts(prompts: list[TracedPrompt], relations: list[str], **changes: Any) -> NeutralTexts:
    usual: dict[str, Any] = {
        "statements": [[*p.ids, p.answer, 59] for p in prompts],
        "n_separator": 1,
        "opening": OPENING,
        "context": None,
        "draws": 10,
        "seed": 0,
    }
    return NeutralTexts(prompts=prompts, relations=relations, **{**usual, **changes})


def prompt(first: int, answer: int, n: int = 5) -> TracedPrompt:
    ids = [OPENING, *range(first, first + n)]
    return TracedPrompt(ids, answer, (1, 3), outside_subject(n + 1, (1, 3), 1))


def test_a_neutral_span_is_as_long_as_the_relation_and_lies_in_statements_of_other_relations():
    prompts = [prompt(10, 50), prompt(20, 51), prompt(30, 52), prompt(40, 50)]
    found = list(texts(prompts, ["r", "r", "s", "s"]).before(0))

    (one,) = found  # fact 1 is of the relation, and fact 3 has the same answer
    assert one.ids == [OPENING, 30, 31, 32, 33, 34, 52, 59, 10, 11, 12, 13, 14]
    assert [one.ids[i] for i in range(*one.subject)] == [10, 11]
    assert [one.ids[i] for i in positions_of(one.relation)] == [12, 13]
    assert [one.ids[i] for i in positions_of(one.neutral)] == [34, 52]
    assert len(positions_of(one.neutral)) == len(positions_of(prompts[0].relation))


def test_statements_add_up_until_they_are_long_enough_and_short_enough():
    long = prompt(10, 50, n=12)  # a relation of 9 tokens
    prompts = [long, prompt(30, 51, n=4), prompt(40, 52, n=4)]
    relations = ["r", "s", "s"]

    two = list(texts(prompts, relations).before(0))
    assert len(two) == 2
    for one in two:
        assert one.ids.count(OPENING) == 1
        assert len(one.ids) == 7 + 6 + 12
        assert len(positions_of(one.neutral)) == 9
        assert 0 not in positions_of(one.neutral)
    assert {one.ids[1] for one in two} == {30, 40}

    assert len(list(texts(prompts, relations, draws=1).before(0))) == 1
    assert list(texts(prompts, relations, context=24).before(0)) == []
    assert list(texts(prompts[:2], relations[:2]).before(0)) == []
    only = texts([long, *prompts[1:]], ["r"] * 3)
    assert len(list(only.before(0))) == 2, "of one relation alone, other answers do"


def test_texts_are_tried_until_the_answer_stays():
    model, asked = shared_model("gpt2"), random_asked(8)
    prompts = [
        TracedPrompt(a.ids, a.answer_ids[0], (2, 4), outside_subject(len(a.ids), (2, 4), 1))
        for a in asked
    ]
    wrong = replace(prompts[0], answer=(prompts[0].answer + 1) % 60)
    tried = texts([wrong, *prompts[1:]], [f"r{f}" for f in range(8)], draws=4)

    where, found = behind_neutral_texts(model, tried)

    def right(one: TracedPrompt) -> bool:
        return int(logits_of(model, torch.tensor([one.ids]))[0, -1].argmax()) == one.answer

    assert where == list(range(1, 8)), "the first is not answered right at all"
    for index, one in zip(where, found, strict=True):
        every = list(tried.before(index))
        expected = next((other for other in every if right(other)), every[-1])
        assert one == expected
    firsts = [next(tried.before(index)) for index in where]
    assert [one for one in found if right(one)], "some stay"
    assert found != firsts, "and some not behind the first text"


def test_totals_behind_texts_are_of_the_same_prompts():
    model, asked = shared_model("gpt2"), random_asked(6)
    found = trace_sides(model, asked, config(), 0, OPENING, separator=[59])

    prompts = found.prefixed.prompts
    assert prompts
    assert list(found.prefixed.results) == ["subject", "relation", "neutral"]
    for corrupt, result in found.prefixed.results.items():
        settings = replace(config().traced(corrupt), noise_std=found.noise_std)
        alone = total_effects(model, prompts, settings)
        assert result.total_effect == pytest.approx(alone.total_effect, abs=SAME)
        assert np.abs(result.total_effect).max() > 1e-3
    rows = pd.DataFrame(tracing_tables([found], config())["traced_prompts"])
    counts = rows[rows["setting"] == "prefixed"].pivot(
        index="fact_id", columns="corrupt", values="n_corrupted"
    )
    assert (counts["neutral"] == counts["relation"]).all()


# --- tables ---


def made(attn_mlp: list, seed: int = 0) -> Traced:
    """Prompts [subject, relation, last] in layers; per prompt and layer (attn, mlp) at the token
    that is corrupted last; the residual gives back twice the sum of both, of which severing MLPs
    leaves the attention's part and severing attention half. Elsewhere nothing does anything."""
    values = np.array(attn_mlp, np.float32)  # [N,L,2]
    n, n_layers, _ = values.shape
    prompts = [TracedPrompt([1, 2, 3], 4, (0, 1), [(1, 2)])] * n
    results = {}
    for corrupt, at in (("subject", 0), ("relation", 1)):
        scale = 1 if corrupt == "subject" else 2  # of attention

        def spread(x: np.ndarray, at: int = at, rest: float = 0.0) -> np.ndarray:
            effects = np.full((n, n_layers, 3), rest, np.float32)
            effects[:, :, at] = x
            return effects

        attn, mlp = values[:, :, 0] * scale, values[:, :, 1]
        results[corrupt] = TracingResult(
            p_clean=np.full(n, 0.9, np.float32),
            p_corrupted=np.arange(n, dtype=np.float32) % 2 / 10,
            is_top1=np.ones(n, bool),
            effects={
                "resid": spread(2 * (attn + mlp)),
                "mlp": spread(mlp),
                "attn": spread(attn),
                "resid_mlp_severed": spread(2 * attn, rest=np.nan),
                "resid_attn_severed": spread(attn + mlp, rest=np.nan),
            },
            roles=np.stack([role_masks(p, corrupt) for p in prompts]),
            role_names=SUBJECT_ROLES if corrupt == "subject" else SPAN_ROLES,
            windows=np.full(n_layers, 2),
            noise_std=1.0,
        )
    asked = [Asked(f"fact-{f}", "r", "arm", f, [1, 2, 3], [4], (0, 1)) for f in range(n)]
    kept = {corrupt: np.ones(n, bool) for corrupt in results}
    nothing = Setting([], [], {}, {})
    return Traced(seed, Setting(asked, prompts, results, kept), nothing, 1.0, 0)


def with_kept(traced: Traced, **kept: list[bool]) -> Traced:
    masks = {name: np.array(mask) for name, mask in kept.items()}
    return replace(traced, bare=replace(traced.bare, kept={**traced.bare.kept, **masks}))


TWO = made([[[0.1, 0.2], [0.3, 0.1], [0.0, 0.1]], [[0.1, 0.4], [0.1, 0.1], [0.2, 0.1]]])


def shares(traced: list[Traced]) -> pd.DataFrame:
    rows = tracing_tables(traced, config())["attention_shares"]
    return pd.DataFrame(rows).set_index(["corrupt", "site", "measure"])


def test_rows_are_those_of_their_records():
    found = trace_sides(shared_model("gpt2"), random_asked(), config(), 0, OPENING)
    tables = tracing_tables([found, replace(found, seed=1)], config())
    declared = {record.table: record for record in ENTITY_RELATION_RECORDS}
    for name, rows in tables.items():
        assert rows, name
        assert {*rows[0]} == {field.name for field in fields(declared[name])}
        columns = {column: [row[column] for row in rows] for column in rows[0]}
        assert make_table(name, columns).num_rows == len(rows)
    kinds = {row["kind"] for row in tables["tracing_effects"]}
    assert kinds == {"resid", "mlp", "attn", "resid_mlp_severed", "resid_attn_severed"}


def test_effects_are_means_over_kept_prompts_of_all_seeds():
    traced = [TWO, with_kept(made([[[0.5, 0.6]] * 3] * 2, seed=1), subject=[True, False])]
    rows = pd.DataFrame(tracing_tables(traced, config())["tracing_effects"])
    cells = rows.set_index(["corrupt", "kind", "role", "layer"])

    one = cells.loc["subject", "mlp", "last_subject", 0]
    assert one["aie"] == pytest.approx((0.2 + 0.4 + 0.6) / 3)
    assert one["sd"] == pytest.approx(np.std([0.2, 0.4, 0.6], ddof=1))
    assert one["low"] <= one["aie"] <= one["high"]
    assert (one["n"], one["window"], one["place"]) == (3, 2, 2)
    assert cells.loc["subject", "resid", "last_subject", 0]["window"] == 1
    assert cells.loc["relation", "attn", "last_corrupted", 1]["n"] == 4
    severed = rows[rows["kind"] == "resid_mlp_severed"]
    assert set(severed["role"]) == {
        "first_subject",
        "last_subject",
        "first_corrupted",
        "last_corrupted",
    }
    assert "middle_subject" not in set(rows["role"]), "no prompt has a token of that role"


def test_totals_are_of_prompts_answered_right_whatever_their_effect():
    result = replace(TWO.bare.results["subject"], is_top1=np.array([True, False]))
    only = replace(TWO.bare, results={"subject": result}, kept={"subject": np.zeros(2, bool)})
    (row,) = tracing_tables([replace(TWO, bare=only)], config())["tracing_totals"]
    assert (row["p_clean"], row["p_corrupted"]) == pytest.approx((0.9, 0.0))
    assert row["total_effect"] == pytest.approx(0.9)
    assert (row["n"], row["n_kept"], row["n_total"], row["n_corrupted"]) == (1, 0, 2, 1)
    assert np.isnan([row["low"], row["high"], row["sd"]]).all()

    rows = tracing_tables([TWO, replace(TWO, seed=1)], config())["tracing_totals"]
    assert rows[0]["total_effect"] == pytest.approx(0.85)
    assert rows[0]["low"] <= 0.85 <= rows[0]["high"]
    assert (rows[0]["n"], rows[0]["n_total"]) == (4, 4)


def test_shares_by_hand():
    """The best site is layer 0 (sums 0.3 and 0.5) for noise on the subject; for noise on the
    relation, with attention doubled, layer 1 (0.7, 0.3) ties with layer 0 (0.4, 0.6)."""
    found = shares([TWO])

    best = found.loc["subject", "best", "share_attn"]
    assert (best["layer"], best["n"]) == (0, 2)
    assert best["value"] == pytest.approx((0.1 + 0.1) / (0.3 + 0.5))
    # all layers have windows of one size
    mean = found.loc["subject", "corrupted", "share_attn"]
    assert mean["value"] == pytest.approx(0.8 / (0.8 + 1.0))
    assert (mean["role"], mean["layer"]) == ("last_subject", -1)
    # the residual gives 2 (a + m): without MLPs 2 a, without attention half
    loss = found.loc["subject", "best", "loss_mlp_severed"]
    assert (loss["layer"], loss["value"]) == (0, pytest.approx(0.6 / 0.8))
    assert found.loc["subject", "best", "loss_attn_severed"]["value"] == pytest.approx(0.5)
    # the last layer aside: attention 0.6 of 1.4 in all
    assert found.loc["subject", "corrupted", "loss_mlp_severed"]["value"] == pytest.approx(
        1 - 0.6 / 1.4
    )
    mean = found.loc["relation", "corrupted", "share_attn"]
    assert mean["value"] == pytest.approx(1.6 / 2.6)
    assert mean["role"] == "last_corrupted"


def test_the_best_site_has_a_whole_window_and_losses_have_a_layer_above():
    """Nor is a cell taken whose parts give back more than was lost: there both give all."""
    high = made([[[0.3, 0.1], [0.1, 0.1], [0.1, 0.2], [2.0, 2.0]]] * 2)
    results = {
        name: replace(result, windows=np.array([1, 2, 2, 2]))
        for name, result in high.bare.results.items()
    }
    found = shares([replace(high, bare=replace(high.bare, results=results))])
    assert found.loc["subject", "best", "share_attn"]["layer"] == 2
    assert found.loc["subject", "best", "loss_mlp_severed"]["layer"] == 0


def test_differences_are_paired_by_fact():
    """Equal facts within a seed: whatever is drawn, the difference is the same; unpaired it would
    not be, as shares differ between facts."""
    rng = np.random.default_rng(0)
    mlp = rng.uniform(0.05, 0.4, 30)
    values = np.stack([np.stack([0.25 * mlp, mlp], axis=1)] * 2, axis=1)  # attention: a quarter
    same = made(values.tolist())
    found = shares([same])
    difference = found.loc["relation - subject", "best", "share_attn"]
    expected = 0.5 / 1.5 - 0.25 / 1.25
    assert difference["value"] == pytest.approx(expected)
    assert difference["high"] - difference["low"] < 1e-6
    assert (difference["role"], difference["layer"], difference["n"]) == ("", -1, 30)

    kept = with_kept(TWO, subject=[True, True], relation=[True, False])
    row = shares([kept]).loc["relation - subject", "corrupted", "share_attn"]
    assert row["n"] == 1
    assert row["value"] == pytest.approx(0.8 / 1.2 - 0.4 / 0.8)
    assert np.isnan(row["low"])
    apart = with_kept(TWO, subject=[False, True], relation=[True, False])
    assert "relation - subject" not in shares([apart]).index


def test_shares_of_what_takes_nothing_back_are_not_defined():
    found = shares([made([[[-0.2, 0.1], [-0.2, 0.1]]] * 3)])
    row = found.loc["subject", "corrupted", "share_attn"]
    assert np.isnan([row["value"], row["low"], row["high"]]).all()
    assert row["n"] == 3


def test_both_is_read_at_the_last_token_that_got_noise():
    """Which is the relation's, though roles are those around the subject."""
    asked = random_asked(8, deep_model())
    found = trace_sides(deep_model(), asked, config(), 0, OPENING)
    kept, result = found.bare.kept["both"], found.bare.results["both"]
    last = [len(a.ids) - 2 for a in asked]
    lost, whole = (
        np.array([result.effects[kind][i, :-1, at] for i, at in enumerate(last)])[kept].sum()
        for kind in ("resid_mlp_severed", "resid")
    )
    row = shares([found]).loc["both", "corrupted", "loss_mlp_severed"]
    assert row["n"] == kept.sum() > 1
    assert whole > 1e-3
    assert abs(row["value"]) > 1e-2
    assert row["value"] == pytest.approx(1 - lost / whole, rel=1e-3)
