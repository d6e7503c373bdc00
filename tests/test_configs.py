"""Every configuration file composes, every ``_target_`` exists, and faulty values are refused."""

import inspect
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from coemerge.app.instances import instantiate_entries
from coemerge.app.schema import register
from coemerge.app.settings import Settings, read_settings
from coemerge.corpus.arms import ARMS, SIDES
from tests.conftest import ROOT

CONF = ROOT / "conf"
# Read by path, not composed: folders of phrasings, names, word lists and the like.
DATA = {"pipeline"} | {
    path.relative_to(CONF).as_posix()
    for group in ("prompts", "world")
    for path in (CONF / group).iterdir()
    if path.is_dir()
}
Brought = Callable[[str, str], list[str]]
OFFERED = {"run", "run_directory", "run_id", "usual_group", "config", "dataset"}  # by app.training


def files() -> list[Path]:
    found = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
    return [path for path in found if path.parent.as_posix() not in DATA]


OPTIONS = [(path.parent.as_posix(), path.stem) for path in files() if path.parent.as_posix() != "."]
EXPERIMENTS = [name for group, name in OPTIONS if group == "experiment"]
TRAINING = [
    option for option in OPTIONS if option[0] != "study" and not option[0].startswith("hydra")
]
PRIMARY = [path.stem for path in files() if path.parent.as_posix() == "."]


def lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def request(subject: str, true: str, new: str) -> dict[str, Any]:
    """What CounterFact asks to be edited."""
    targets = {"target_true": {"str": true}, "target_new": {"str": new}}
    return {"prompt": "{} lies in", "relation_id": "P17", "subject": subject, **targets}


PAIRS = [(f"Town{k}", f"Land{k}") for k in range(12)]
PROBES = {f"{d}_{side}": [f"{d} {side} {k}" for k in range(9)]
          for d in ("mem", "gen", "hard_gen") for side in ("input", "target")}  # fmt: skip
# Of each public data set a little, as a file of its layout: its world needs a path.
PUBLIC: dict[str, tuple[str, str]] = {
    "blimp": ("agreement.jsonl", lines(
        {"sentence_good": f"The cats {verb}", "sentence_bad": f"The cats {verb}s",
         "one_prefix_method": True, "UID": "agreement"} for verb in ("sleep", "walk", "sing"))),
    "counterfact": ("counterfact.json", json.dumps([
        {"case_id": k, "requested_rewrite": request(s, o, "Nowhere")}
        for k, (s, o) in enumerate(PAIRS)])),
    "fictional_knowledge": ("fictional.json", json.dumps([{"train_context": "A text.", **PROBES}])),
    "known_facts": ("known.json", json.dumps([
        {"subject": s, "attribute": o, "template": "{} lies in", "relation_id": "P17"}
        for s, o in PAIRS])),
    "lre": ("country.json", json.dumps({
        "name": "country", "prompt_templates": ["{} lies in"],
        "samples": [{"subject": s, "object": o} for s, o in PAIRS]})),
    "pararel": ("P17.jsonl", lines({"sub_label": s, "obj_label": o} for s, o in PAIRS)),
    "popqa": ("popqa.tsv", "subj\tprop\tobj\tquestion\n" + "".join(
        f"{s}\tcountry\t{o}\tIn what country is {s}?\n" for s, o in PAIRS)),
}  # fmt: skip
BASE_FILES = {
    "config.json": json.dumps({"model_type": "gpt2", "n_positions": 128, "vocab_size": 5}),
    "model.safetensors": "\x02" + "\0" * 7 + "{}",  # no tensors
    "vocab.json": "{}",
}


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    """``brought(group, name)``: the overrides that name what a user has to bring for an option."""
    folder = tmp_path_factory.mktemp("brought")
    (folder / "base").mkdir()
    for file, text in BASE_FILES.items():
        (folder / "base" / file).write_text(text)
    checkpoint = shutil.copytree(folder / "base", folder / "run" / "checkpoints" / "step-00000001")
    (checkpoint / "manifest.json").write_text("{}")
    shares = OmegaConf.to_container(composed("train").corpus.plan.arms.shares)
    settings = {"seed": 0, "world": {"seed": 0}, "corpus": {"plan": {"arms": {"shares": shares}}}}
    (folder / "run" / "config.yaml").write_text(yaml.safe_dump(settings))
    for file, text in PUBLIC.values():
        (folder / file).write_text(text)

    def overrides(group: str, name: str) -> list[str]:
        if (group, name) in (("model", "pretrained"), ("experiment", "continue_pretraining")):
            return [f"model.base={folder / 'base'}"]
        if (group, name) == ("experiment", "chain_of_thought"):
            return [f"model.base={folder / 'run'}"]
        if (group, name) == ("trainer", "fsdp"):
            return ["callbacks.localization=null"]
        if group == "world" and name in PUBLIC:
            return [f"world.path={folder / PUBLIC[name][0]}"]
        return []

    return overrides


def composed(primary: str, *overrides: str, with_hydra: bool = False) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(primary, list(overrides), return_hydra_config=with_hydra)


def settings_of(*overrides: str) -> Settings:
    return read_settings(composed("train", *overrides), list(overrides))


def test_the_files_are_found():
    assert {"train", "build", "analyze"} <= set(PRIMARY)
    assert {"smoke", "fact_injection"} <= set(EXPERIMENTS)
    groups = "world prompts corpus model optimizer trainer callbacks logger paths".split()
    assert {group for group, _ in OPTIONS} >= {*groups, "experiment"}


def test_folders_of_data_hold_no_configurations():
    assert all((CONF / folder).is_dir() for folder in DATA)


@pytest.mark.parametrize("primary", PRIMARY)
def test_primary_configurations_compose(primary: str):
    resolved = OmegaConf.to_container(composed(primary), resolve=True, throw_on_missing=True)

    assert isinstance(resolved, dict)


@pytest.mark.parametrize(("group", "name"), TRAINING, ids=map("=".join, TRAINING))
def test_every_option_composes_and_passes_the_checks(group: str, name: str, brought: Brought):
    others = [] if group == "experiment" else ["experiment=smoke"]

    settings = settings_of(*others, f"{group}={name}", *brought(group, name))

    check_targets(settings.config.callbacks or {})
    check_targets(settings.config.logger or {})


@pytest.mark.parametrize(
    ("group", "name", "key"),
    [
        ("experiment", "chain_of_thought", "model.base"),
        ("experiment", "continue_pretraining", "model.base"),
        ("model", "pretrained", "model.base"),
        *(("world", name, "world.path") for name in PUBLIC),
    ],
)
def test_what_a_user_has_to_bring_is_named(group: str, name: str, key: str):
    with pytest.raises(ValueError, match=re.escape(key)):
        settings_of(f"{group}={name}")


def test_every_arm_is_listed_so_that_its_share_can_be_set():
    """Those of the two sides by the experiment that brings relation_naming: without it they would
    show half of nothing."""
    usual, both_sides = (
        set(composed("train", *overrides).corpus.plan.arms.shares)
        for overrides in ([], ["experiment=entity_relation"])
    )
    assert usual == set(ARMS) - set(SIDES)
    assert both_sides == set(ARMS)


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "study"])
def test_every_study_names_a_function_that_takes_its_keys(name: str):
    study = OmegaConf.to_container(composed("analyze", f"study={name}").study, resolve=True)

    assert isinstance(study, dict)
    check_target({"_target_": study["_target_"]})


@pytest.mark.parametrize(
    ("group", "name"), [option for option in OPTIONS if option[0].startswith("hydra")]
)
def test_hydra_options_compose(group: str, name: str):
    composed("train", f"{group}={name}", "experiment=smoke", with_hydra=True)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_bear_their_own_name(experiment: str, brought: Brought):
    settings = settings_of(f"experiment={experiment}", *brought("experiment", experiment))

    assert settings.config.experiment_name == experiment


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("group", ["callbacks", "logger"])
def test_none_means_none_in_every_experiment(experiment: str, group: str, brought: Brought):
    needed = brought("experiment", experiment)

    settings = settings_of(f"experiment={experiment}", f"{group}=none", *needed)

    assert getattr(settings.config, group) == {}


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "model"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_command_line_chooses_the_model(experiment: str, name: str):
    model = composed("train", f"experiment={experiment}", f"model={name}").model

    content = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())
    assert model.architecture == content["architecture"]
    assert model.config == content["config"]
    assert model.base is None


def entries_with_targets(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value
        for part in value.values():
            yield from entries_with_targets(part)


def check_target(entry: Mapping[str, Any]) -> None:
    parameters = inspect.signature(get_object(entry["_target_"])).parameters
    keys = {key for key in entry if key != "_target_"}
    assert keys <= set(parameters), f"{entry['_target_']} takes no {keys - set(parameters)}"
    required = {
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    missing = required - keys - OFFERED
    assert not missing or keys == set(), f"{entry['_target_']} needs {missing}"


def check_targets(entries: Mapping[str, Any]) -> None:
    """Every ``_target_``, nested ones too, imports and takes the keys given."""
    for entry in entries_with_targets(entries):
        check_target(entry)


def test_a_wrong_key_would_have_been_noticed():
    target = "coemerge.callbacks.schedule.StepSchedule"

    with pytest.raises(AssertionError, match="evry"):
        check_targets({"exposure": {"_target_": target, "evry": 3}})


def test_an_entry_without_a_target_is_refused():
    with pytest.raises(ValueError, match=r"callbacks\.mine.*_target_"):
        settings_of("experiment=smoke", "+callbacks.mine.every=3")
    with pytest.raises(ValueError, match=r"logger\.mine.*_target_"):
        settings_of("experiment=smoke", "+logger.mine.project=x")


class Taking:
    """A callback of one's own: takes the run and a number."""

    def __init__(self, run: object, every: int = 1) -> None:
        self.run, self.every = run, every


def test_null_removes_an_entry():
    settings = settings_of("experiment=smoke", "callbacks.progress=null", "logger.wandb=null")

    assert settings.config.callbacks["progress"] is None
    entries = {**dict.fromkeys(settings.config.callbacks), "progress": None}
    assert instantiate_entries(entries) == []
    assert instantiate_entries(settings.config.logger) == []


def test_an_entry_gets_the_offered_arguments_that_it_takes():
    entry = {"_target_": f"{__name__}.Taking", "every": 5}

    (made,) = instantiate_entries({"mine": entry, "gone": None}, run="the run", run_id="unused")

    assert (made.run, made.every) == ("the run", 5)


REFUSALS = (ValueError, HydraException, OmegaConfBaseException)


def refusal(*overrides: str) -> str:
    """Everything that the exceptions of a refused configuration say."""
    with pytest.raises(REFUSALS) as caught:
        settings_of("experiment=smoke", *overrides)
    texts, error = [], caught.value
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return "\n".join(texts)


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lr=abc",
        "optimizer.betas=0.9",
        "optimizer.betas=[a,b]",
        "trainer.max_steps=1.5",
        "trainer.batch_rows=many",
        "trainer.threads=two",
        "seed=one",
        "seed=0.5",
        "overwrite=perhaps",
        "world.seed=x",
        "world.types.person.size=big",
        "world.use=5",
        "corpus.plan.documents.mcqa=several",
        "corpus.plan.arms.shares.A0_full=half",
        "corpus.plan.timing.start=early",
        "corpus.background.share=some",
        "corpus.tokenizer.vocab_size=1.5",
        "prompts.n_held_out=few",
        "prompts.letters=A",
        "model.config=5",
        "model.base=[a]",
        "hub.download=perhaps",
        "model.architecture=[gpt2]",
    ],
)
def test_wrong_types_are_refused(override: str):
    assert override.split("=")[0] in refusal(override)


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lrr=1",
        "+optimizer.lrr=1",
        "optimzer.lr=1",
        "trainer.stepz=1",
        "+trainer.stepz=1",
        "+nonsense=1",
        "world.sede=1",
        "+world.sede=1",
        "+world.types.person.sise=3",
        "+corpus.plan.docs=3",
        "+corpus.background.shares=0.5",
        "+prompts.cue=x",
        "+paths.artefacts=x",
        "+score.bass=first",
        "+hub.upload=true",
        "callbacks.exposre.schedule.count=3",
        "logger.wandb.projct=x",
    ],
)
def test_unknown_keys_are_refused(override: str):
    key = override.lstrip("+").split("=")[0]

    assert key.rsplit(".", maxsplit=1)[-1] in refusal(override)


@pytest.mark.parametrize(
    ("overrides", "culprit"),
    [
        (["seed=-1"], "seed"),
        (["resume=maybe"], "resume"),
        (["resume=true", "overwrite=true"], "overwrite"),
        (["score.base=best"], "score.base"),
        (["score.chance=luck"], "score.chance"),
        (["run_id=a/b"], "run_id"),
        (["run_id=''"], "run_id"),
        (["device=gpu"], "device"),
        (["trainer.max_steps=-3"], "trainer.max_steps"),
        (["corpus.row_length=3"], "corpus.row_length"),
        (["corpus.option_sets=some"], "corpus.option_sets"),
        (["corpus.plan.tasks=[mcqa,openqqa]"], "openqqa"),
        (["corpus.plan.tasks=[]"], "corpus.plan.tasks"),
        (["+corpus.plan.arms.shares.A77_lost=1"], "A77_lost"),
        (["corpus.plan.documents.mcqa=0"], "corpus.plan.documents.mcqa"),
        (["corpus.plan.timing.kind=never"], "timing"),
        (["corpus.background.share=1.5"], "background"),
        (["corpus.background.mix={poems: 1}"], "poems"),
        (["prompts.templates_dir=/nowhere/at/all"], "/nowhere/at/all"),
        (["world.lexicon_path=/nowhere/words.yaml"], "/nowhere/words.yaml"),
        (["world.use=[birthplace,shoe_size]"], "shoe_size"),
        (["world.types.person.size=0"], "person"),
        (["corpus.background.path=/no/text"], "/no/text"),
        (["corpus.background.path=x.txt", "corpus.background.mix.files=0"], "mix.files"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_values_that_make_no_sense_are_named(overrides: list[str], culprit: str):
    assert culprit in refusal(*overrides)


@pytest.mark.parametrize(
    ("overrides", "chance"),
    [
        (["world=synthetic_tiny"], "uniform"),
        (["world=real_facts"], "answer_prior"),
        (["world=lre"], "answer_prior"),
        (["world=synthetic_tiny", "score.chance=answer_prior"], "answer_prior"),
        (["world=real_facts", "score.chance=uniform"], "uniform"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_chance_follows_the_world_unless_it_is_said(
    overrides: list[str], chance: str, brought: Brought
):
    """The answers of synthetic worlds are balanced, those of others are not."""
    world = overrides[0].split("=")[1]

    settings = settings_of("experiment=smoke", *overrides, *brought("world", world))

    assert settings.config.score.chance == chance


def test_all_problems_are_told_at_once():
    text = refusal("seed=-1", "optimizer.lr=-1", "prompts.templates_dir=/nowhere/at/all")

    for culprit in ("seed", "optimizer.lr", "/nowhere/at/all"):
        assert culprit in text


@pytest.mark.parametrize("given", ["true", "false", "auto"])
def test_resume_is_written_as_people_write_it(given: str):
    assert settings_of("experiment=smoke", f"resume={given}").config.resume == given


def test_no_interpolation_is_left_unresolved():
    settings = settings_of("experiment=smoke")

    assert "${" not in yaml.safe_dump(settings.resolved)
    assert "???" not in yaml.safe_dump(settings.resolved)


def test_callbacks_and_loggers_reach_the_code_as_plain_values():
    settings = settings_of("experiment=smoke")

    def kinds(value: Any) -> Iterator[type]:
        yield type(value)
        if isinstance(value, dict):
            for part in value.values():
                yield from kinds(part)

    for entries in (settings.config.callbacks, settings.config.logger, settings.resolved):
        assert set(kinds(entries)) <= {dict, list, str, int, float, bool, type(None)}


def test_keys_that_the_help_names_exist():
    text = yaml.safe_load((CONF / "hydra" / "help" / "train.yaml").read_text())["template"]
    keys = re.findall(r"^\s+([a-z_]+(?:\.[A-Za-z0-9_]+)*)=", text, flags=re.MULTILINE)
    config = composed("train", "experiment=smoke")

    assert "optimizer.lr" in keys
    for key in keys:
        assert OmegaConf.select(config, key, default="absent") != "absent", key
