"""How far the probabilities of words move when a class's neurons are changed (methods 6.4)."""

from dataclasses import fields

import numpy as np
import pandas as pd

from coemerge.statistics.shifts import outer_quantiles, paired_p_values, shift
from coemerge.statistics.variance import benjamini_hochberg
from coemerge.studies.knowledge_neurons.changes import CHANGES
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.effects import SetEffects, WordEffects
from coemerge.studies.knowledge_neurons.subject import FACTS, SYNTAX, Group, Subject
from coemerge.tables.knowledge_neurons_records import TokenShiftsRecord, WordShiftsRecord

SIGNIFICANT = 0.05


def token_shifts(
    subject: Subject, effects: SetEffects, config: KnowledgeNeuronsConfig
) -> pd.DataFrame:
    """``TokenShiftsRecord``: every word of every class group under every change. The shift is of
    means over prompts, so that prompts in which a word is all but impossible do not decide it; the
    test is of the probabilities themselves, each unit's prompts averaged first: sentences with the
    same word that decides, or wordings of a fact, are no independent draws."""
    frames = [
        _of_tokens(words, number, change)
        for words in effects.words
        for number, change in enumerate(CHANGES)
    ]
    columns = [field.name for field in fields(TokenShiftsRecord)]
    if not frames:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(frames, ignore_index=True)
    rows["q_value"] = rows.groupby("kind")["p_value"].transform(benjamini_hochberg)
    rows["significant"] = rows["q_value"] < SIGNIFICANT
    return rows.assign(seed=subject.seed)[columns]


def _of_tokens(words: WordEffects, number: int, change: str) -> pd.DataFrame:
    group = words.group
    before, after = words.before.mean(0), words.after[number].mean(0)
    by_chance = shift(before, words.random[number])  # [D,W]
    low, high = outer_quantiles(by_chance, 0.025, 0.975)
    units = _units(group)
    of_units = [_means(p, units).to_numpy() for p in (words.before, words.after[number])]
    return pd.DataFrame(
        {
            "kind": group.kind,
            "topic": group.topic,
            "group": group.name,
            "change": change,
            "token": [word.text for word in group.words],
            "token_class": [word.word_class for word in group.words],
            "p_before": before,
            "p_after": after,
            "shift": shift(before, after),
            "random_low": low,
            "random_high": high,
            "p_value": paired_p_values(*of_units),
            "n": len(of_units[0]),
        }
    )


def _units(group: Group) -> list[str]:
    """What the test prompts are about; texts where nobody knows the word that decides."""
    if group.kind == FACTS:
        return [prompt.item for prompt in group.test]
    return [prompt.about or repr(prompt.ids) for prompt in group.test]


def _means(values: np.ndarray, names: list[str]) -> pd.DataFrame:
    """[N,W] -> a row per name."""
    return pd.DataFrame(values).groupby(names, sort=True).mean()


def word_shifts(
    subject: Subject, effects: SetEffects, config: KnowledgeNeuronsConfig
) -> pd.DataFrame:
    """``WordShiftsRecord``: of every syntax group and change, cues by words; prompts with the same
    cue averaged first. Only words that the grammar knows, and whose documents were counted; no rows
    where nobody counted any."""
    columns = [field.name for field in fields(WordShiftsRecord)]
    counted = subject.cooccurrence
    if counted is None:
        return pd.DataFrame(columns=columns)
    counts = counted.rename(columns={"first": "cue", "second": "token"})
    counts = counts[["cue", "token", "n_documents"]]
    frames = [
        _of_cues(words, number, change)
        for words in effects.words
        for number, change in enumerate(CHANGES)
        if words.group.kind == SYNTAX
    ]
    if not frames:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(frames, ignore_index=True).merge(counts, on=["cue", "token"])
    known = rows["cue"].isin(subject.words) & rows["token"].isin(subject.words)
    rows = rows[known].reset_index(drop=True)
    forms = {word: form for word, (_, form) in subject.words.items()}
    cue, token = rows["cue"].map(forms), rows["token"].map(forms)
    # a word of one form goes with either
    rows["agrees"] = (cue == token) | (cue == "") | (token == "")
    return rows.assign(seed=subject.seed)[columns]


def _of_cues(words: WordEffects, number: int, change: str) -> pd.DataFrame:
    """Cue by word, [C*W] rows."""
    group = words.group
    cues = [prompt.about for prompt in group.test]
    means = [_means(p, cues) for p in (words.before, words.after[number])]
    before, after = (mean.to_numpy().ravel() for mean in means)
    named = means[0].index
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.log(after) - np.log(before)
    return pd.DataFrame(
        {
            "topic": group.topic,
            "group": group.name,
            "change": change,
            "cue": named.repeat(len(group.words)),
            "token": [word.text for word in group.words] * len(named),
            "p_before": before,
            "p_after": after,
            "shift": shift(before, after),
            "log_ratio": log_ratio,
            "n": pd.Series(cues).value_counts()[named].to_numpy().repeat(len(group.words)),
        }
    )
