"""Bad input, case by case: what is typed, which files there are, and what the message must name.

``python -m tests.app.refusals`` prints the table with the time each refusal took. Runs as a process
of its own: what a command imports shows only where nothing was imported before.
"""

import contextlib
import fcntl
import functools
import io
import json
import os
import runpy
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "lightning", "transformers")
SECONDS = 3.0


@dataclass(frozen=True)
class Case:
    """``arguments`` and ``files`` may hold {tmp}; ``culprits`` are what the message must hold."""

    name: str
    arguments: tuple[str, ...]
    culprits: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    script: str = "train.py"
    locked: str = ""


@dataclass(frozen=True)
class Outcome:
    name: str
    code: int
    message: str
    seconds: float
    heavy: tuple[str, ...]


def smoke(name: str, *arguments: str, culprits: tuple[str, ...], **files: str) -> Case:
    """A case of ``train.py experiment=smoke``; files by name, __ standing for a slash or a dot."""
    return Case(name, ("experiment=smoke", *arguments), culprits, files)


TRIPLES = '{"sub_label": "Paris", "obj_label": "France"}\n'
LRE = json.dumps({"name": "r", "samples": [{"subject": "a", "object": "b"}]})
EMPTY = "\x02" + "\0" * 7 + "{}"
MODEL = json.dumps({"model_type": "gpt2", "n_positions": 64, "vocab_size": 5})
LONGER = json.dumps({"model_type": "gpt2", "n_positions": 128, "vocab_size": 9})
TEMPLATE = "statement: [no slots, or here, nor there, nowhere]\n"
TOKENIZER = json.dumps({
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": None, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {w: k for k, w in enumerate("abcdefghi")},
              "unk_token": "a"},
})  # fmt: skip
CHANGED = json.dumps({"fingerprint": "{fingerprint}", "files": {"facts.parquet": "0" * 64}})
FINISHED = {"status": "finished", "fingerprint": "other", "run_id": "mine"}
PARAREL = ("world=pararel", "world.path={tmp}/facts")
BASE = ("experiment=continue_pretraining",)
A_RUN = {"manifest.json": json.dumps(FINISHED)}
MASKS = ("study=task_localization", "run={tmp}")
QUERIES = ("study=query_localization", "run={tmp}")
TWO_SIDES = ("study=entity_relation", "run={tmp}")
REASONING = ("study=chain_of_thought", "run={tmp}")
ALL = ("study=all", "run={tmp}")


def _trained(*tasks: str) -> str:
    """What a run tells of the formats that it showed."""
    return json.dumps({"corpus": {"plan": {"tasks": tasks}}})


# fmt: off
CASES: tuple[Case, ...] = (
    # names
    Case("mistyped experiment", ("experiment=smok",), ("smok", "did you mean 'smoke'")),
    Case("mistyped model", ("model=gpt2_tny",), ("gpt2_tny", "gpt2_tiny")),
    Case("mistyped world", ("world=pararell",), ("pararell", "did you mean 'pararel'")),
    smoke("mistyped key", "optimizer.lrr=1", culprits=("lrr", "did you mean 'lr'")),
    smoke("mistyped group", "optimzer.lr=1", culprits=("optimzer", "did you mean 'optimizer'")),
    smoke("mistyped deep key", "trainer.max_stps=1", culprits=("max_stps", "max_steps")),
    smoke("mistyped task", "corpus.plan.tasks=[mcqq]", culprits=("mcqq", "mcqa")),
    smoke("unknown arm", "+corpus.plan.arms.shares.A77_lost=1", culprits=("A77_lost", "A0_full")),
    smoke("unknown relation", "world.use=[birthplace,hoby]", culprits=("world.use", "hoby")),
    smoke("unknown kind of text", "+corpus.background.mix.poems=1", culprits=("poems", "grammar")),
    smoke("dashes", "--experiment", culprits=("--experiment", "experiment=NAME")),
    smoke("dashes and value", "--world=lre", culprits=("--world=lre", "world=NAME")),
    smoke("a key without a value", "seed", culprits=("seed",)),
    smoke("broken brackets", "optimizer.lr=[1", culprits=("optimizer.lr",)),
    smoke("a target that is not there", "callbacks.progress._target_=coemerge.callbacks.no.Bar",
          culprits=("callbacks.progress", "coemerge.callbacks.no.Bar")),
    smoke("an entry without a target", "+callbacks.mine.every=3", culprits=("callbacks.mine",)),
    # types and values
    smoke("text for a number", "optimizer.lr=fast", culprits=("optimizer.lr", "fast")),
    smoke("a fraction for a count", "trainer.max_steps=1.5", culprits=("trainer.max_steps", "1.5")),
    smoke("negative steps", "trainer.max_steps=-5", culprits=("trainer.max_steps", "-5")),
    smoke("zero rows", "trainer.batch_rows=0", culprits=("trainer.batch_rows", "0")),
    smoke("negative learning rate", "optimizer.lr=-1", culprits=("optimizer.lr", "-1")),
    smoke("negative seed", "seed=-1", culprits=("seed", "-1")),
    smoke("no threads", "trainer.threads=0", culprits=("trainer.threads", "0")),
    smoke("no documents", "corpus.plan.documents.mcqa=0", culprits=("documents.mcqa",)),
    smoke("negative share", "corpus.plan.arms.shares.A0_full=-1", culprits=("A0_full", "-1")),
    smoke("share of all", "corpus.background.share=1", culprits=("corpus.background.share",)),
    smoke("window reversed", "corpus.plan.timing.start=0.8", "corpus.plan.timing.stop=0.2",
          culprits=("corpus.plan.timing",)),
    smoke("empty type", "world.types.person.size=0", culprits=("world.types.person", "size")),
    smoke("rows of a few tokens", "corpus.row_length=4", culprits=("corpus.row_length", "4")),
    smoke("tiny vocabulary", "corpus.tokenizer.vocab_size=20", culprits=("vocab_size", "20")),
    smoke("unknown device", "device=gpu", culprits=("device", "gpu", "cuda")),
    smoke("unknown precision", "trainer.precision=fp8", culprits=("trainer.precision", "fp8")),
    smoke("unknown score", "score.base=best", culprits=("score.base", "best", "first")),
    smoke("unknown chance", "score.chance=luck", culprits=("score.chance", "luck", "auto")),
    smoke("unknown resume", "resume=maybe", culprits=("resume", "maybe", "auto")),
    smoke("resume and overwrite", "resume=true", "overwrite=true",
          culprits=("resume=true", "overwrite=true")),
    smoke("run id with a slash", "run_id=a/b", culprits=("run_id", "a/b")),
    smoke("two formats, one cue", "prompts.cues.openqa=Note:", culprits=("prompts.cues", "Note:")),
    smoke("unknown option sets", "corpus.option_sets=some", culprits=("option_sets", "some")),
    smoke("several problems at once", "seed=-1", "optimizer.lr=-1",
          culprits=("seed", "optimizer.lr")),
    # files
    smoke("no word list", "world.lexicon_path=/no/words.yaml", culprits=("/no/words.yaml",)),
    smoke("no templates", "prompts.templates_dir=/no/templates", culprits=("/no/templates",)),
    smoke("a template without its slots", "prompts.templates_dir={tmp}",
          culprits=("birthplace.yaml", "statement entry 1", "[X]"),
          **{"birthplace.yaml": TEMPLATE}),
    smoke("no background text", "corpus.background.path=/no/text.txt", culprits=("/no/text.txt",)),
    smoke("empty background text", "corpus.background.path={tmp}/empty.txt",
          culprits=("empty.txt", "no text"), **{"empty.txt": "\n \n"}),
    smoke("malformed background text", "corpus.background.path={tmp}/text.jsonl",
          culprits=("text.jsonl:1",), **{"text.jsonl": "not json\n"}),
    smoke("artifacts are a file", "paths.artifacts={tmp}/file",
          culprits=("paths.artifacts", "file"), file="text"),
    # data sets
    Case("a data set without a path", ("world=lre",), ("world.path",)),
    Case("no such data", ("world=lre", "world.path=/no/lre"), ("world.path", "/no/lre")),
    Case("empty data file", PARAREL, ("P36.jsonl",), {"facts/P36.jsonl": ""}),
    Case("malformed on line 2", PARAREL, ("P36.jsonl:2",),
         {"facts/P36.jsonl": TRIPLES + "{broken\n"}),
    Case("a field missing on line 2", PARAREL, ("P36.jsonl:2", "obj_label"),
         {"facts/P36.jsonl": TRIPLES + '{"sub_label": "Rome"}\n'}),
    Case("a folder of something else", ("world=popqa", "world.path={tmp}"), ("{tmp}",),
         {"notes.md": "hello"}),
    Case("not JSON", ("world=lre", "world.path={tmp}/r.json"), ("r.json",), {"r.json": "{"}),
    Case("columns missing", ("world=popqa", "world.path={tmp}/p.tsv"), ("p.tsv", "obj"),
         {"p.tsv": "id\tsubj\n1\tx\n"}),
    Case("no facts left", ("world=lre", "world.path={tmp}/r.json"), ("r.json", "no facts"),
         {"r.json": LRE}),
    Case("mistyped relation", ("world=lre", "world.path={tmp}/r.json", "world.relations=[rr]"),
         ("world.relations", "rr"), {"r.json": LRE}),
    Case("one fact per relation", ("world=lre", "world.path={tmp}/r.json",
         "world.facts_per_relation=1"), ("facts_per_relation", "1"), {"r.json": LRE}),
    Case("curated relation missing", ("world=real_facts", "world.use=[capital_cty]"),
         ("capital_cty", "capital_city")),
    Case("a fact twice", ("world=real_facts", "world.facts_dir={tmp}", "world.use=[r]"),
         ("r.yaml", "Italy"),
         {"r.yaml": "domain: a\nrange: b\nfacts:\n  Italy: Rome\n  Italy: Milan\n"}),
    # models
    Case("no base", BASE, ("model.base",)),
    Case("a base that is not there", (*BASE, "model.base=runs/nothing/here"),
         ("runs/nothing/here",)),
    Case("a base that is not cached", (*BASE, "model.base=someone/model"),
         ("someone/model", "hub.download=true")),
    Case("a base without weights", (*BASE, "model.base={tmp}/m"), ("model.safetensors",),
         {"m/config.json": MODEL}),
    Case("a context too short", (*BASE, "model.base={tmp}/m"), ("context of 64", "row_length=128"),
         {"m/config.json": MODEL, "m/model.safetensors": EMPTY, "m/tokenizer.json": "{}"}),
    Case("a base and an architecture", ("experiment=smoke", "model.base={tmp}/m"),
         ("model.base", "model=pretrained"),
         {"m/config.json": MODEL, "m/model.safetensors": EMPTY, "m/vocab.json": "{}"}),
    Case("a revision of a folder", (*BASE, "model.base={tmp}", "model.revision=main"),
         ("model.base", "no revision 'main'")),
    Case("weights that were cut off", (*BASE, "model.base={tmp}/m"),
         ("m/model.safetensors", "half-written"),
         {"m/config.json": MODEL, "m/model.safetensors": "", "m/tokenizer.json": "{}"}),
    Case("an unfinished checkpoint", (*BASE, "model.base={tmp}/step-00000005"),
         ("step-00000005", "manifest.json"), {"step-00000005/config.json": MODEL}),
    Case("a vocabulary that does not match", (*BASE, "model.base={tmp}/m", "corpus.row_length=32"),
         ("9 tokens, the model only 5",),
         {"m/config.json": MODEL, "m/model.safetensors": EMPTY, "m/tokenizer.json": TOKENIZER}),
    Case("a base that is not JSON", (*BASE, "model.base={tmp}/m"),
         ("m/config.json", "not valid JSON"),
         {"m/config.json": "{", "m/model.safetensors": EMPTY}),
    # runs and data
    Case("a run in use", ("experiment=smoke", "run_id=mine", "paths.artifacts={tmp}"),
         ("runs/mine", "in use"), locked="runs/mine/.lock"),
    Case("data that was changed", ("experiment=smoke", "paths.data={tmp}"),
         ("facts.parquet", "hash"),
         {"manifest.json": CHANGED, "facts.parquet": "other bytes"}),
    Case("a manifest of something else", ("experiment=smoke", "paths.data={tmp}"),
         ("manifest.json", "no data set"), {"manifest.json": "{}"}),
    Case("a run that is there", ("experiment=smoke", "run_id=mine", "paths.artifacts={tmp}"),
         ("runs/mine", "resume=true", "overwrite=true"),
         {"runs/mine/manifest.json": json.dumps(FINISHED)}),
    Case("a run with other settings", ("experiment=smoke", "run_id=mine", "resume=true",
         "paths.artifacts={tmp}"), ("runs/mine", "other settings"),
         {"runs/mine/manifest.json": json.dumps(FINISHED)}),
    Case("mistyped study", ("study=emergnce", "run=x"), ("emergnce", "emergence"),
         script="analyze.py"),
    Case("a threshold outside (0, 1)", ("run={tmp}", "study.thetas=[1.5]"), ("study.thetas", "1.5"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a window before its start", ("run={tmp}", "study.windows=[-3]"), ("study.windows",),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a mistyped setting of a study", ("run={tmp}", "study.thetaz=[0.5]"), ("thetaz", "thetas"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a run named twice", ("run=[{tmp},{tmp}]",), ("twice",),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("one of several runs missing", ("run=[{tmp},/no/such/run]",), ("/no/such/run",),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("no run to analyse", ("run=/no/such/run",), ("/no/such/run",), script="analyze.py"),
    Case("no run named", (), ("run",), script="analyze.py"),
    Case("a run without checkpoints", ("run={tmp}",), ("{tmp}/checkpoints",),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a study without the usual threshold", ("run={tmp}", "study.thetas=[0.5]"),
         ("study.thetas", "0.6"), {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a threshold twice", ("run={tmp}", "study.thetas=[0.6,0.6]"), ("study.thetas", "twice"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a threshold that is no list", ("run={tmp}", "study.thetas=0.6"), ("study.thetas", "list"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("windows without the usual one", ("run={tmp}", "study.windows=[0,1]"),
         ("study.windows", "-1"), {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("paraphrases in words", ("run={tmp}", "study.paraphrases=two"), ("study.paraphrases",),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a setting that no study has", ("run={tmp}", "+study.foo=1"), ("study.foo",),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a name that is a path", ("run={tmp}", "name=x/y"), ("name", "x/y"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a study at the end of one checkpoint", ("experiment=smoke", "end.checkpoints=1"),
         ("end.checkpoints", "2")),
    Case("a paraphrase alone", ("run={tmp}", "study.paraphrases=1"), ("study.paraphrases", "2"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a checkpoint alone", ("run={tmp}", "study.checkpoints=1"), ("study.checkpoints", "1"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a task alone", ("run={tmp}", "study.tasks=[mcqa]"), ("study.tasks", "two"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("an unknown task", ("run={tmp}", "study.tasks=[mcqa,mcq]"), ("mcq", "completion"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a run and a model", ("run={tmp}", "model.path={tmp}"), ("run", "model.path"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a world for a run", ("run={tmp}", "world=real_facts"), ("world", "model.path"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a model without a world", ("model.path={tmp}",), ("world=real_facts",),
         script="analyze.py"),
    Case("a folder without models", ("model.path={tmp}", "world=real_facts"),
         ("model.path", "{tmp}", "no model"), script="analyze.py"),
    Case("an unknown revision", ("model.path={tmp}", "model.revisions=[b]", "world=real_facts"),
         ("no b", "there are: a"), {"a/config.json": MODEL}, script="analyze.py"),
    Case("a model that is not cached", ("model.path=someone/model", "world=real_facts"),
         ("someone/model", "hub.download=true"), script="analyze.py"),
    Case("a tokenizer that is not there", ("model.path={tmp}/a", "model.tokenizer={tmp}",
         "world=real_facts"), ("model.tokenizer", "tokenizer.json"),
         {"a/config.json": MODEL, "a/model.safetensors": EMPTY}, script="analyze.py"),
    Case("masks of a kind that is not there", (*MASKS, "study.variants=[fre]"),
         ("study.variants", "fre", "free"), A_RUN, script="analyze.py"),
    Case("a second mask without a first", (*MASKS, "study.variants=[remask]"),
         ("study.variants", "free"), A_RUN, script="analyze.py"),
    Case("masks without training", (*MASKS, "study.masks.steps=0"), ("study.masks.steps", "0"),
         A_RUN, script="analyze.py"),
    Case("steps of masks that are no whole number", (*MASKS, "study.masks.steps=1.5"),
         ("study.masks.steps", "1.5"), A_RUN, script="analyze.py"),
    Case("a mistyped setting of masks", (*MASKS, "study.masks.step=10"),
         ("step",), A_RUN, script="analyze.py"),
    Case("a loss that is not there", (*MASKS, "study.masks.necessity=l2"),
         ("study.masks.necessity", "l2", "nll_of_rest"), A_RUN, script="analyze.py"),
    Case("a preset that is not there", (*MASKS, "study.preset=tiny"),
         ("study.preset", "tiny", "published"), A_RUN, script="analyze.py"),
    Case("masks to be ablated that are not there", REASONING,
         ("masks.parquet", "study=task_localization run={tmp}"),
         {**A_RUN, "config.yaml": _trained("mcqa", "cot_fitb_mcqa")}, script="analyze.py"),
    Case("a run that was shown no reasoning", REASONING, ("experiment=chain_of_thought",),
         {**A_RUN, "config.yaml": _trained("mcqa")}, script="analyze.py"),
    Case("two routes to one answer", REASONING, ("cot_fitb_mcqa", "cot_openqa_mcqa", "route"),
         {**A_RUN, "config.yaml": _trained("cot_fitb_mcqa", "cot_openqa_mcqa")},
         script="analyze.py"),
    Case("reasoning of models from elsewhere", ("study=chain_of_thought", "model.path={tmp}",
         "world=real_facts"), ("study=chain_of_thought", "run"), script="analyze.py"),
    Case("a floor of few draws", (*REASONING, "study.random_draws=5"),
         ("study.random_draws", "20"), A_RUN, script="analyze.py"),
    Case("a baseline above one", (*REASONING, "study.baseline=99"), ("study.baseline", "99"),
         A_RUN, script="analyze.py"),
    Case("a reference that is not there", (*REASONING, "study.reference=corrupted"),
         ("study.reference", "mean"), A_RUN, script="analyze.py"),
    Case("formats added to nothing", ("experiment=smoke", "+corpus.plan.added.mcqa.A0_full=0.5"),
         ("corpus.plan.added", "model.base")),
    Case("formats added to a run of another seed", ("experiment=chain_of_thought", "seed=1",
         "model.base={tmp}"), ("seed", "config.yaml"),
         {"checkpoints/step-00000001/config.json": LONGER,
          "checkpoints/step-00000001/manifest.json": "{}", "config.yaml": '{"seed": 0}',
          "checkpoints/step-00000001/model.safetensors": EMPTY,
          "checkpoints/step-00000001/tokenizer.json": TOKENIZER}),
    Case("masks of a task alone", (*MASKS, "study.tasks=[mcqa]"),
         ("study.tasks", "two"), A_RUN, script="analyze.py"),
    Case("a threshold of masks outside [0, 1]", (*MASKS, "study.threshold=80"),
         ("study.threshold", "80"), A_RUN, script="analyze.py"),
    Case("a fact without controls", (*MASKS, "study.min_facts=1"),
         ("study.min_facts", "2"), A_RUN, script="analyze.py"),
    Case("a query that has nothing to agree with", (*QUERIES, "study.k=1"), ("study.k", "2"),
         A_RUN, script="analyze.py"),
    Case("queries in words", (*QUERIES, "study.k=many"), ("study.k", "many"), A_RUN,
         script="analyze.py"),
    Case("neurons above their own maximum", (*QUERIES, "study.tau=1.5"), ("study.tau", "1.5"),
         A_RUN, script="analyze.py"),
    Case("a localiser that is not there", (*QUERIES, "study.localisers=[joint,ig]"),
         ("study.localisers", "ig", "gradient"), A_RUN, script="analyze.py"),
    Case("no localisers", (*QUERIES, "study.localisers=null"), ("study.localisers", "null"),
         A_RUN, script="analyze.py"),
    Case("a main localiser that is not used", (*QUERIES, "study.localisers=[single]"),
         ("study.localiser", "joint", "single"), A_RUN, script="analyze.py"),
    Case("a threshold of classes in percent", (*QUERIES, "study.thresholds=[30]"),
         ("study.thresholds", "30"), A_RUN, script="analyze.py"),
    Case("a main threshold that is not used", (*QUERIES, "study.threshold=0.25"),
         ("study.threshold", "0.25", "otsu"), A_RUN, script="analyze.py"),
    Case("a mistyped setting of queries", (*QUERIES, "study.treshold=0.3"),
         ("treshold", "threshold"), A_RUN, script="analyze.py"),
    Case("a setting of queries that is not there", (*QUERIES, "+study.beta=1"),
         ("study.beta", "betas"), A_RUN, script="analyze.py"),
    Case("text that is not there", (*QUERIES, "study.text=/no/text.txt"),
         ("study.text", "/no/text.txt"), A_RUN, script="analyze.py"),
    Case("a fact alone", (*QUERIES, "study.min_facts=1"), ("study.min_facts", "2"), A_RUN,
         script="analyze.py"),
    Case("more facts needed than taken", (*QUERIES, "study.n_facts=3"),
         ("study.n_facts", "study.min_facts=4"), A_RUN, script="analyze.py"),
    Case("a path without points", (*QUERIES, "study.steps=0"), ("study.steps", "0"), A_RUN,
         script="analyze.py"),
    Case("a grid that is not there", (*QUERIES, "study.grid=left"),
         ("study.grid", "left", "midpoint"), A_RUN, script="analyze.py"),
    Case("a reward for spread", (*QUERIES, "study.betas=[-1]"), ("study.betas", "-1"), A_RUN,
         script="analyze.py"),
    Case("a weight that is no number", (*QUERIES, "study.betas=[0,nan]"), ("study.betas", "nan"),
         A_RUN, script="analyze.py"),
    Case("an update that is no number", (*QUERIES, "study.lambdas=[2,nan]"),
         ("study.lambdas", "nan"), A_RUN, script="analyze.py"),
    Case("no texts before a query", (*QUERIES, "study.context_draws=0"),
         ("study.context_draws", "0"), A_RUN, script="analyze.py"),
    Case("fewer texts than a query needs", (*QUERIES, "study.context_draws=4"),
         ("study.context_draws", "study.k=5"), A_RUN, script="analyze.py"),
    Case("no random neurons", (*QUERIES, "study.random_draws=0"), ("study.random_draws", "0"),
         A_RUN, script="analyze.py"),
    Case("random edits in words", (*QUERIES, "study.edit_draws=some"),
         ("study.edit_draws", "some"), A_RUN, script="analyze.py"),
    Case("a probability that is no number", (*QUERIES, "study.least_probability=nan"),
         ("study.least_probability", "nan"), A_RUN, script="analyze.py"),
    Case("a probability that all answers are below", (*QUERIES, "study.least_probability=1"),
         ("study.least_probability", "1"), A_RUN, script="analyze.py"),
    Case("an update of one weight", (*QUERIES, "study.lambdas=[2]"), ("study.lambdas", "two"),
         A_RUN, script="analyze.py"),
    Case("an update in words", (*QUERIES, "study.lambdas=[a,b]"), ("study.lambdas", "a"), A_RUN,
         script="analyze.py"),
    Case("queries in a format that is not there", (*QUERIES, "study.task=complete"),
         ("study.task", "complete", "completion"), A_RUN, script="analyze.py"),
    Case("known or not", (*QUERIES, "study.only_known=some"), ("study.only_known", "some"), A_RUN,
         script="analyze.py"),
    Case("queries of a model without a world", ("study=query_localization", "model.path={tmp}"),
         ("world=real_facts",), script="analyze.py"),
    Case("a mistyped setting of edits", (*TWO_SIDES, "study.editor=[rome]"),
         ("editor", "editors"), A_RUN, script="analyze.py"),
    Case("a setting of edits that is not there", (*TWO_SIDES, "+study.grid=1"),
         ("study.grid", "grids"), A_RUN, script="analyze.py"),
    Case("an editor that is not there", (*TWO_SIDES, "study.editors=[rome,mend]"),
         ("study.editors", "mend", "memit"), A_RUN, script="analyze.py"),
    Case("no editors", (*TWO_SIDES, "study.editors=[]"), ("study.editors", "rome"), A_RUN,
         script="analyze.py"),
    Case("settings of an editor that is not there", (*TWO_SIDES, "+study.grids.mend=[{}]"),
         ("study.grids", "mend", "memit"), A_RUN, script="analyze.py"),
    Case("a setting that an editor does not have", (*TWO_SIDES, "study.grids.kn=[{lr:1}]"),
         ("study.grids.kn.lr", "tau"), A_RUN, script="analyze.py"),
    Case("settings that are no list", (*TWO_SIDES, "study.grids.rome={lr:1}"),
         ("study.grids.rome",), A_RUN, script="analyze.py"),
    Case("no settings at all", (*TWO_SIDES, "study.grids=null"), ("study.grids", "{}"), A_RUN,
         script="analyze.py"),
    Case("an edit that takes no step", (*TWO_SIDES, "study.grids.ft=[{steps:0}]"),
         ("study.grids.ft.steps", "1"), A_RUN, script="analyze.py"),
    Case("an edit that learns nothing", (*TWO_SIDES, "study.grids.rome=[{},{lr:[1,0]}]"),
         ("study.grids.rome.lr", "above 0"), A_RUN, script="analyze.py"),
    Case("settings tried twice", (*TWO_SIDES, "study.grids.rome=[{lr:1},{lr:[1,2]}]"),
         ("study.grids.rome", "twice"), A_RUN, script="analyze.py"),
    Case("layers below the first", (*TWO_SIDES, "study.layers=[-1]"), ("study.layers", "-1"), A_RUN,
         script="analyze.py"),
    Case("layers in words", (*TWO_SIDES, "study.layers=[last]"), ("study.layers", "last"), A_RUN,
         script="analyze.py"),
    Case("one layer that is no list", (*TWO_SIDES, "study.layers=2"), ("study.layers", "[2]"),
         A_RUN, script="analyze.py"),
    Case("a token that is not edited", (*TWO_SIDES, "study.edited_token=middle"),
         ("study.edited_token", "middle", "first"), A_RUN, script="analyze.py"),
    Case("a layer left to tracing that is left out", (*TWO_SIDES, "study.traced_facts=0"),
         ("study.layers", "study.traced_facts=0"), A_RUN, script="analyze.py"),
    Case("a token left to tracing of attention", (*TWO_SIDES, "study.layers=[1]",
         "study.tracing.kinds=[attn]"), ("study.edited_token", "study.tracing.kinds"), A_RUN,
         script="analyze.py"),
    Case("noise on what has no tokens", (*TWO_SIDES, "study.corruptions=[object]"),
         ("corrupt", "object", "relation"), A_RUN, script="analyze.py"),
    Case("the control named twice", (*TWO_SIDES, "study.corruptions=[subject,neutral]"),
         ("study.corruptions", "neutral"), A_RUN, script="analyze.py"),
    Case("a mistyped setting of tracing", (*TWO_SIDES, "study.tracing.sample=5"),
         ("sample", "samples"), A_RUN, script="analyze.py"),
    Case("tracing without copies", (*TWO_SIDES, "study.tracing.samples=0"),
         ("study.tracing.samples", "0"), A_RUN, script="analyze.py"),
    Case("noise in words", (*TWO_SIDES, "study.tracing.noise_scale=much"),
         ("study.tracing.noise_scale", "much"), A_RUN, script="analyze.py"),
    Case("edits of what does not ask for the object", (*TWO_SIDES, "study.task=relation_naming"),
         ("study.task", "relation_naming", "completion"), A_RUN, script="analyze.py"),
    Case("all facts for settings", (*TWO_SIDES, "study.dev_share=1"), ("study.dev_share", "1"),
         A_RUN, script="analyze.py"),
    Case("a fact alone to be edited", (*TWO_SIDES, "study.min_facts=1"), ("study.min_facts", "2"),
         A_RUN, script="analyze.py"),
    Case("no facts to be edited", (*TWO_SIDES, "study.facts=[]"), ("study.facts", "null"), A_RUN,
         script="analyze.py"),
    Case("prefixes of no number", (*TWO_SIDES, "study.contexts=[5,10]"), ("study.contexts", "5"),
         A_RUN, script="analyze.py"),
    Case("keys of no text", (*TWO_SIDES, "study.key_tokens=0"), ("study.key_tokens", "0"), A_RUN,
         script="analyze.py"),
    Case("text for keys that is not there", (*TWO_SIDES, "study.text=/no/text.txt"),
         ("study.text", "/no/text.txt"), A_RUN, script="analyze.py"),
    Case("edits of a model without a world", ("study=entity_relation", "model.path={tmp}"),
         ("world=real_facts",), script="analyze.py"),
    Case("a report of models", ("study=report", "model.path={tmp}", "world=real_facts"),
         ("study=report", "model.path"), script="analyze.py"),
    Case("all studies of models", ("study=all", "model.path={tmp}", "world=real_facts"),
         ("study=all", "name run", "study=co_emergence"), script="analyze.py"),
    Case("all studies of no run", ("study=all",), ("run: name a run",), script="analyze.py"),
    Case("a setting of one study given to all", (*ALL, "study.thetas=[0.6]"),
         ("study.thetas", "study.co_emergence.thetas"), A_RUN, script="analyze.py"),
    Case("a setting that no study of all has", (*ALL, "+study.foo=1"), ("study.foo",), A_RUN,
         script="analyze.py"),
    Case("a mistyped study of all", (*ALL, "study.co_emergense.seed=1"),
         ("study.co_emergense", "did you mean 'co_emergence'"), A_RUN, script="analyze.py"),
    Case("a mistyped setting of one of all studies", (*ALL, "study.entity_relation.editor=[rome]"),
         ("study.entity_relation.editor", "editors"), A_RUN, script="analyze.py"),
    Case("a setting of one of all studies that is not there", (*ALL,
         "+study.co_emergence.theta=1"), ("study.co_emergence.theta", "thetas"), A_RUN,
         script="analyze.py"),
    Case("a wrong value in one of all studies", (*ALL, "study.co_emergence.thetas=[1.5]"),
         ("study.co_emergence.thetas", "1.5"), A_RUN, script="analyze.py"),
    Case("one of all studies switched off", (*ALL, "study.co_emergence=false"),
         ("study.co_emergence", "null"), A_RUN, script="analyze.py"),
    Case("a device that is none", ("run={tmp}", "device=gpu"), ("device", "cuda"),
         {"manifest.json": json.dumps(FINISHED)}, script="analyze.py"),
    Case("a mistyped W&B mode of an analysis", ("run={tmp}", "logger.wandb.mode=onlin"),
         ("logger.wandb.mode", "online"), {"manifest.json": json.dumps(FINISHED)},
         script="analyze.py"),
    Case("a run that is not finished", ("run={tmp}",), ("{tmp}", "resume=true"),
         {"manifest.json": json.dumps({**FINISHED, "status": "interrupted"})}, script="analyze.py"),
)
# fmt: on


def outcome_of(case: Case, folder: Path) -> Outcome:
    """Runs one case in a forked child: the interpreter and hydra are warm, nothing heavy is."""
    for name, text in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if "{fingerprint}" in text:
            text = text.replace("{fingerprint}", smoke_fingerprint())
        path.write_text(text, encoding="utf-8")
    arguments = [a.replace("{tmp}", str(folder)) for a in case.arguments]
    if case.script == "train.py" and not any("paths.artifacts" in a for a in arguments):
        arguments.append(f"paths.artifacts={folder / 'artifacts'}")
    report = folder / "outcome.json"
    with held(folder / case.locked if case.locked else None):
        child = os.fork()
        if child == 0:
            _child(case, arguments, report)
        os.waitpid(child, 0)
    told = json.loads(report.read_text())
    return Outcome(**{**told, "heavy": tuple(told["heavy"])})


@contextlib.contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """As another process would hold a run."""
    if lock is None:
        yield
        return
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def smoke_fingerprint() -> str:
    """Of the data set that experiment=smoke implies."""
    from hydra import compose, initialize_config_dir

    from coemerge.app.schema import register
    from coemerge.app.settings import read_settings

    os.environ["COEMERGE_ROOT"] = str(ROOT)
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return read_settings(compose("train", ["experiment=smoke"]), []).dataset.fingerprint()


def _child(case: Case, arguments: list[str], report: Path) -> None:
    started, output, code = time.perf_counter(), io.StringIO(), 0
    os.chdir(ROOT)
    sys.argv = [case.script, *arguments]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            runpy.run_path(str(ROOT / case.script), run_name="__main__")
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            code = 1
            traceback.print_exc()
    heavy = tuple(sorted({m.split(".")[0] for m in sys.modules} & set(HEAVY)))
    seconds = time.perf_counter() - started
    outcome = Outcome(case.name, code, output.getvalue().strip(), seconds, heavy)
    report.write_text(json.dumps(asdict(outcome)))
    os._exit(0)


def all_outcomes(make_folder: Callable[[], Path]) -> Iterator[tuple[Case, Path, Outcome]]:
    """Imports what every command imports, once, then runs every case."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import coemerge.app.settings  # noqa: F401

    for case in CASES:
        folder = make_folder()
        yield case, folder, outcome_of(case, folder)


def faults(case: Case, folder: Path, outcome: Outcome) -> list[str]:
    """What is wrong with a refusal; empty if all is well."""
    found = []
    if outcome.code == 0:
        found.append("was not refused")
    if outcome.heavy:
        found.append(f"imported {outcome.heavy}")
    if outcome.seconds > SECONDS:
        found.append(f"took {outcome.seconds:.1f} s")
    if "Traceback" in outcome.message:
        found.append("showed a traceback")
    missing = [c for c in case.culprits if c.replace("{tmp}", str(folder)) not in outcome.message]
    if missing:
        found.append(f"does not name {missing}")
    leftovers = [p.name for p in folder.glob("artifacts")]
    if leftovers:
        found.append("left a directory behind")
    return found


def main() -> None:
    """Prints the table; with an argument, writes it there as JSON instead."""
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        numbers = iter(range(10_000))

        def make_folder() -> Path:
            folder = Path(scratch) / str(next(numbers))
            folder.mkdir()
            return folder

        for case, folder, outcome in all_outcomes(make_folder):
            wrong = faults(case, folder, outcome)
            results.append({**asdict(outcome), "faults": wrong})
            if len(sys.argv) == 1:
                message = (outcome.message.splitlines() or [""])[0].replace(scratch, "")
                verdict = "; ".join(wrong) or "ok"
                sys.stdout.write(f"{case.name:<32} {outcome.seconds:4.1f} s  {verdict}\n")
                sys.stdout.write(f"    {message[:150]}\n")
    n_good = sum(not result["faults"] for result in results)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(results))
    sys.stdout.write(f"{n_good} of {len(results)} refused as they should be\n")


if __name__ == "__main__":
    main()
