"""Which prompts are asked, and which of them are averaged."""

import numpy as np
import pyarrow.compute as pc
import pytest

from coemerge.corpus.dataset import Dataset
from coemerge.scoring.config import ScoreConfig, check_score_config
from coemerge.scoring.probe import CELL_COLUMNS, make_probe, select_prompts


def test_each_paraphrase_of_a_fact_and_task_is_one_cell(smoke_dataset: Dataset):
    prompts = smoke_dataset.prompts
    probe = make_probe(prompts)

    keys = prompts.select(list(CELL_COLUMNS)).to_pandas()
    cells = probe.cells.to_pandas()
    assert len(probe) == len(prompts)
    assert len(cells) == len(keys.drop_duplicates()) == len(cells.drop_duplicates())
    of_prompts = cells.iloc[probe.cell_of.numpy()].reset_index(drop=True)
    assert of_prompts.equals(keys)


def test_questions_carry_the_prompts_ids(smoke_dataset: Dataset):
    prompts = smoke_dataset.prompts
    probe = make_probe(prompts)

    for row in (0, len(prompts) // 2, len(prompts) - 1):
        record = prompts.slice(row, 1).to_pylist()[0]
        question = probe.questions[row]
        assert list(question.ids) == record["ids"]
        assert list(question.answer_ids) == record["answer_ids"]
        assert list(question.candidate_ids) == record["candidate_ids"]
        assert record["answer_ids"][0] in record["candidate_ids"]
        assert probe.chance[row].item() == pytest.approx(record["chance"])


def test_shards_hold_every_prompt_once(smoke_dataset: Dataset):
    probe = make_probe(smoke_dataset.prompts)

    shards = [probe.shard(rank, 3) for rank in range(3)]

    assert sorted(np.concatenate(shards).tolist()) == list(range(len(probe)))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_selection_by_split_and_option_sets(smoke_dataset: Dataset):
    chosen = select_prompts(smoke_dataset.prompts, ["held_out_templates"], ["fresh"])

    assert set(chosen["split"].to_pylist()) == {"held_out_templates"}
    kinds = set(zip(chosen["task"].to_pylist(), chosen["options"].to_pylist(), strict=True))
    assert ("mcqa", "fresh") in kinds
    assert ("openqa", "none") in kinds  # tasks without option sets stay
    assert not {kind for _, kind in kinds} & {"seen"}


def test_selection_of_a_few_paraphrases_keeps_all_their_rotations(smoke_dataset: Dataset):
    prompts = smoke_dataset.prompts
    everything = prompts.filter(pc.equal(prompts["split"], "held_out_templates")).to_pandas()

    chosen = select_prompts(prompts, ["held_out_templates"], templates_per_cell=2).to_pandas()

    group = ["fact_id", "task", "options"]
    assert (chosen.groupby(group)["template_id"].nunique() == 2).all()
    assert chosen.groupby(group).ngroups == everything.groupby(group).ngroups
    cell = [*group, "template_id"]
    n_chosen = chosen.groupby(cell).size()
    assert n_chosen.equals(everything.groupby(cell).size().loc[n_chosen.index])


def test_a_probe_of_nothing_is_empty(smoke_dataset: Dataset):
    probe = make_probe(smoke_dataset.prompts.slice(0, 0))

    assert len(probe) == 0
    assert len(probe.cells) == 0


def test_chance_is_uniform_or_that_of_the_answers_frequencies(smoke_dataset: Dataset):
    prompts = smoke_dataset.prompts

    uniform, prior = make_probe(prompts), make_probe(prompts, "answer_prior")

    assert uniform.chance.tolist() == pytest.approx(prompts["chance"].to_pylist())
    assert prior.chance.tolist() == pytest.approx(prompts["prior"].to_pylist())
    assert uniform.chance.tolist() != prior.chance.tolist()
    assert prior.questions == uniform.questions


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"base": "best"}, r"score\.base: 'best'.*full.*first.*cand"),
        ({"chance": "luck"}, r"score\.chance: 'luck'.*auto.*uniform.*answer_prior"),
    ],
)
def test_faulty_score_settings_are_refused_by_their_key(settings: dict[str, str], key: str):
    with pytest.raises(ValueError, match=key):
        check_score_config(ScoreConfig(**settings))


def test_the_whole_answer_is_scored_unless_told_otherwise():
    check_score_config(ScoreConfig())

    assert ScoreConfig().base == "full"
