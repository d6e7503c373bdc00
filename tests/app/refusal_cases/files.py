"""Files of another kind than was asked for: folders, archives, bytes, links, half a file."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.app.refusal_cases.case import (
    A_RUN,
    BUILD,
    EMPTY,
    FINISHED,
    LONGER,
    LRE,
    MODEL,
    PARAREL,
    TOKENIZER,
    TRIPLES,
    Case,
    trained,
)

SMOKE = ("experiment=smoke",)
SYNTAX = ("experiment=syntax_and_facts", "corpus.background.grammar_path={tmp}/g.yaml")
TEMPLATES = (*SMOKE, "prompts.templates_dir={tmp}/t")
HERE = Path(__file__).resolve().parents[3] / "conf" / "prompts" / "templates"
NO_TEXT = {"bytes": b"\x89PNG\xff\xfe", "UTF-16": TRIPLES.encode("utf-16")}
Setup = Callable[[Path], None]


def link(name: str, target: str) -> Setup:
    """``name`` becomes a link, whatever was there."""

    def made(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target.replace("{tmp}", str(folder)))

    return made


def templates(name: str, content: str | bytes | None = None, to: str = "") -> Setup:
    """Ours, with one file of other content, or a link in its place."""

    def made(folder: Path) -> None:
        shutil.copytree(HERE, folder / "t")
        if content is None:
            link(f"t/{name}", to)(folder)
        else:
            (folder / "t" / name).write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )

    return made


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jsonl")


def _text(name: str, content: str | bytes, *culprits: str) -> Case:
    asked = (*SMOKE, f"corpus.background.path={{tmp}}/{name}")
    return Case(f"background {name}: {content[:12]!r}", asked, (name, *culprits), {name: content})


def _world(set_: str, name: str, content: str | bytes, *culprits: str) -> Case:
    asked = (f"world={set_}", f"world.path={{tmp}}/{name}")
    return Case(f"{set_} {name}: {content[-25:]!r}", asked, (name, *culprits), {name: content})


def _curated(content: str | bytes, *culprits: str) -> Case:
    asked = ("world=real_facts", "world.facts_dir={tmp}", "world.use=[r]")
    return Case(f"curated: {content[:40]!r}", asked, ("r.yaml", *culprits), {"r.yaml": content})


def _lexicon(content: str | bytes, *culprits: str) -> Case:
    asked = (*SMOKE, "world.lexicon_path={tmp}/l.yaml")
    return Case(f"lexicon: {content[:30]!r}", asked, ("l.yaml", *culprits), {"l.yaml": content})


def _phrasings(name: str, content: str | bytes, *culprits: str) -> Case:
    found = (f"t/{name}", *culprits)
    return Case(f"{name}: {content[:20]!r}", TEMPLATES, found, setup=templates(name, content))


def _grammar(content: str | bytes, *culprits: str) -> Case:
    return Case(f"grammar: {content[:20]!r}", SYNTAX, ("g.yaml", *culprits), {"g.yaml": content})


def _manifest(content: str | bytes, *culprits: str) -> Case:
    files = {"manifest.json": content}
    found = ("{tmp}", *culprits)
    return Case(f"a run's manifest: {content[-40:]!r}", ("run={tmp}",), found, files, "analyze.py")


HEAD = "domain: a\nrange: b\n"
FEW = "subj\tprop\tobj\tquestion\n"
DATA: tuple[Case, ...] = (
    *(
        Case(f"facts that are {kind}", PARAREL, ("P36.jsonl", "UTF-8"), {"facts/P36.jsonl": data})
        for kind, data in NO_TEXT.items()
    ),
    _world("pararel", "P36.jsonl", b"\0" * 50, "P36.jsonl:1", "not valid JSON"),
    _world("pararel", "P36.jsonl", '{"sub_label": 3, "obj_label": "x"}', "sub_label", "expected"),
    _world("pararel", "P36.jsonl", "[" * 50_000, "P36.jsonl:1"),
    _world("pararel", "f.zip", b"PK\x03\x04", "archive", "unpack"),
    _world("pararel", "f.jsonl.gz", b"\x1f\x8b", "archive", "unpack"),
    _world("lre", "f.tar", b"x", "archive", "unpack"),
    _world("lre", "r.json", "[]", "empty list"),
    _world("lre", "r.json", '{"name": "x"}', "samples"),
    _world("popqa", "p.tsv", FEW + "a\tb\n", "p.tsv:2", "2 fields", "expected 4"),
    _world("popqa", "p.tsv", FEW + '"a\tb\n', "p.tsv:2"),
    _world("popqa", "p.tsv", FEW + "a\t!!\tc\td\n", "p.tsv:2", "!!"),
    _world("counterfact", "c.json", "{}", "expected a JSON list"),
    _world("counterfact", "c.json", '[{"requested_rewrite": []}]', "record 1", "requested_rewrite"),
    _world("known_facts", "k.json", "[3]", "record 1", "expected a JSON object"),
    _world("fictional_knowledge", "f.json", "[null]", "record 1"),
    _world("blimp", "b.jsonl", '{"sentence_good": "a"}\n', "b.jsonl:1", "sentence_bad"),
    Case("a folder of archives", ("world=lre", "world.path={tmp}"), ("r.zip", "unpack"),
         {"r.zip": "PK"}),
    Case("an empty folder of data", ("world=lre", "world.path={tmp}"), ("{tmp}", ".json")),
    Case("data that is a pipe", ("world=pararel", "world.path={tmp}/pipe.jsonl"),
         ("pipe.jsonl", "no file"), setup=_pipe),
    Case("data on the web", ("world=lre", "world.path=https://example.com/x.json"),
         ("world.path", "https://example.com/x.json")),
    Case("a link out of the data's folder", PARAREL, ("P36.jsonl", "link", "/etc/passwd"),
         setup=link("facts/P36.jsonl", "/etc/passwd")),
    Case("a folder linked into the data", PARAREL, ("facts/more", "link", "/etc"),
         {"facts/P36.jsonl": TRIPLES}, setup=link("facts/more", "/etc")),
    Case("a link that leads nowhere", PARAREL, ("P36.jsonl", "nowhere"),
         setup=link("facts/P36.jsonl", "gone.jsonl")),
    Case("no samples of a relation", ("world=lre", "world.path={tmp}/r.json", "world.relations=[]"),
         ("world.path", "no facts"), {"r.json": LRE}),
    Case("a negative seed of a data set", ("world=lre", "world.path={tmp}/r.json", "world.seed=-3"),
         ("world.seed", "-3"), {"r.json": LRE}),
    Case("templates from nowhere", ("world=lre", "world.path={tmp}/r.json", "world.templates=hub"),
         ("world.templates", "hub"), {"r.json": LRE}),
    Case("a relation of another folder", ("world=real_facts", "world.use=[../../train]"),
         ("world.use", "../../train")),
    Case("a relation twice", ("world=real_facts", "world.use=[capital_city,capital_city]"),
         ("world.use", "each once")),
    Case("a linked file of facts", ("world=real_facts", "world.facts_dir={tmp}", "world.use=[r]"),
         ("r.yaml", "link"), setup=link("r.yaml", "/etc/hostname")),
    _curated("", "domain"),
    _curated(b"\xff\xfe", "UTF-8"),
    _curated("a: [\n", "r.yaml:2", "YAML"),
    _curated(HEAD + "facts: !!python/object/apply:os.system ['true']\n", "r.yaml:3"),
    _curated(HEAD + "facts:\n  a: 1\n", "quote"),
    _curated(HEAD + "facts:\n  NO: Oslo\n", "quote"),
    _curated(HEAD + "facts:\n  a: b\n  a: c\n", "r.yaml:5", "twice"),
    _curated("a: &x [*x]\n", "YAML"),
)  # fmt: skip

TEXTS: tuple[Case, ...] = (
    _text("t.txt", b"\xff\xfe", "UTF-8"),
    _text("t.txt", b"a\0b", "zero byte"),
    _text("t.zip", b"PK\x03\x04", "unpack"),
    _text("t.txt.gz", b"\x1f\x8b", "unpack"),
    _text("t.pdf", b"%PDF-1.4", ".txt"),
    _text("t.jsonl", "[1]\n", "t.jsonl:1", "text"),
    _text("t.jsonl", '{"text": 3}\n', "t.jsonl:1", "text"),
    _text("t.jsonl", '{"text": ""}\n', "no text"),
    _text("t.jsonl", "[" * 50_000, "t.jsonl:1"),
    _text("t.jsonl", '{"text": ' + "9" * 5000 + "}", "t.jsonl:1"),
    Case("a folder for a text", (*SMOKE, "corpus.background.path={tmp}"),
         ("corpus.background.path", "{tmp}")),
    Case("an empty path", (*SMOKE, "corpus.background.path="), ("corpus.background.path", "empty")),
    _lexicon("", "lists of words"),
    _lexicon("[1]\n", "lists of words"),
    _lexicon("profession: 3\n", "profession", "words"),
    _lexicon("profession: [yes, no]\n", "profession", "quote"),
    _lexicon("profession: [\n", "l.yaml:2", "YAML"),
    _lexicon("profession: [a]\nprofession: [b]\n", "l.yaml:2", "twice"),
    _lexicon(b"\xff\xfe", "UTF-8"),
    _phrasings("birthplace.yaml", "", "mapping"),
    _phrasings("birthplace.yaml", b"\xff\xfe", "UTF-8"),
    _phrasings("birthplace.yaml", "\0", "YAML"),
    _phrasings("birthplace.yaml", "statement: [\n", "birthplace.yaml:2"),
    _phrasings("birthplace.yaml", "{1: [a], [2]: 3}", "birthplace.yaml:1"),
    _phrasings("drill.yaml", "verse: []\n", "verse"),
    Case("a template that is a link", TEMPLATES, ("birthplace.yaml", "link", "/etc/passwd"),
         setup=templates("birthplace.yaml", to="/etc/passwd")),
    Case("templates that are a file", (*SMOKE, "prompts.templates_dir=/etc/passwd"),
         ("/etc/passwd/birthplace.yaml",)),
    Case("names of relations that are a folder",
         (*SMOKE, "prompts=with_relations", "prompts.naming_path={tmp}"),
         ("prompts.naming_path", "{tmp}")),
    _grammar("", "keys and their values"),
    _grammar("opening: 3\n", "opening", "text"),
    _grammar("opening: [\n", "g.yaml:2"),
    _grammar(b"\xff\xfe", "UTF-8"),
    Case("no grammar", SYNTAX, ("corpus.background.grammar_path", "g.yaml")),
)  # fmt: skip

STEP = "checkpoints/step-00000001"
CHECKPOINT = {
    **A_RUN,
    f"{STEP}/config.json": LONGER,
    f"{STEP}/model.safetensors": EMPTY,
    f"{STEP}/tokenizer.json": TOKENIZER,
    f"{STEP}/manifest.json": json.dumps(
        {"step": 1, "tokens_seen": 1, "weights_sha256": "0", "config_hash": "x"}
    ),
}
M = {"m/config.json": MODEL, "m/model.safetensors": EMPTY, "m/tokenizer.json": TOKENIZER}
ELSEWHERE = ("world=real_facts", "model.path={tmp}/m")
NO_WEIGHTS = {name: text for name, text in M.items() if "safetensors" not in name}


def _checkpoint(name: str, content: str | bytes, *culprits: str) -> Case:
    files = {**CHECKPOINT, f"{STEP}/{name}": content}
    title = f"a checkpoint's {name}: {content[:30]!r}"
    return Case(title, ("run={tmp}",), (f"{STEP}/{name}", *culprits), files, "analyze.py")


def _model(name: str, content: str | bytes, *culprits: str) -> Case:
    return Case(f"a model's {name}: {content[:30]!r}", ELSEWHERE, (f"m/{name}", *culprits),
                {**M, f"m/{name}": content}, "analyze.py")  # fmt: skip


def _parts(index: object) -> Case:
    files = {**NO_WEIGHTS, "m/model.safetensors.index.json": json.dumps(index)}
    found = ("m/model.safetensors.index.json", "weight_map")
    return Case(f"weights in parts: {index}", ELSEWHERE, found, files, "analyze.py")


def _instead(name: str) -> Case:
    found = ("{tmp}/m", "pickled weights are not loaded", "safetensors")
    return Case(f"{name} instead of safetensors", ELSEWHERE, found,
                {**NO_WEIGHTS, f"m/{name}": b"\x80\x02"}, "analyze.py")  # fmt: skip


def _at(path: str, *culprits: str) -> Case:
    asked = ("world=real_facts", f"model.path={path}")
    return Case(f"models at {path or 'nothing'}", asked, ("model.path", *culprits), M, "analyze.py")


MODELS: tuple[Case, ...] = (
    _manifest("{", "JSON"),
    _manifest("[]", "JSON object"),
    _manifest("null", "JSON object"),
    _manifest(b"\xff\xfe", "JSON"),
    _manifest("{}", "not finished"),
    _manifest('{"status": "finished"}', "run_id"),
    _manifest(json.dumps({**FINISHED, "seed": "one"}), "seed"),
    _manifest(json.dumps({**FINISHED, "score": {"bas": 1}}), "score"),
    _checkpoint("manifest.json", "{", "JSON"),
    _checkpoint("manifest.json", "{}", "checkpoint"),
    _checkpoint("manifest.json", '{"step": "one"}', "checkpoint"),
    _checkpoint("config.json", "[]", "JSON object"),
    _checkpoint("config.json", b"\xff", "JSON"),
    _checkpoint("config.json", '{"model_type": 3}', "model_type"),
    _checkpoint("model.safetensors", "junk", "half-written"),
    Case("a run with a link out of it", ("run={tmp}",), ("{tmp}/results", "link"), CHECKPOINT,
         "analyze.py", setup=link("results", "/etc")),
    Case("a checkpoint that is a link", ("run={tmp}",), (STEP, "link"), CHECKPOINT, "analyze.py",
         setup=link(f"{STEP}/model.safetensors", "/etc/passwd")),
    Case("a run that is a file", ("run={tmp}/manifest.json",), ("manifest.json", "no run there"),
         A_RUN, "analyze.py"),
    Case("a run's settings that are no YAML", ("study=chain_of_thought", "run={tmp}"),
         ("config.yaml:1", "YAML"), {**A_RUN, "config.yaml": "["}, "analyze.py"),
    Case("a run's settings of something else", ("study=chain_of_thought", "run={tmp}"),
         ("config.yaml", "corpus.plan.tasks"), {**A_RUN, "config.yaml": "corpus: 3"}, "analyze.py"),
    Case("routes of an unknown format", ("study=chain_of_thought", "run={tmp}"),
         ("cot_poem_mcqa",), {**A_RUN, "config.yaml": trained("cot_poem_mcqa")}, "analyze.py"),
    _model("config.json", "[]", "JSON object"),
    _model("config.json", '{"model_type": 3}', "model_type"),
    _model("config.json", '{"model_type": "gpt2", "vocab_size": "x"}', "vocab_size"),
    _model("config.json", '{"model_type": "gpt2", "n_positions": -1}', "n_positions"),
    _model("tokenizer.json", b"\xff", "cannot be read"),
    _model("tokenizer.json", "{}", "cannot be read"),
    _model("model.safetensors", b"\xff" * 8 + b"{}", "half-written"),
    *(_instead(name) for name in ("pytorch_model.bin", "model.pt", "model.gguf")),
    *(
        _parts(index)
        for index in (
            {},
            {"weight_map": 3},
            {"weight_map": {"a": "../x.safetensors"}},
            {"weight_map": {"a": "/etc/x.safetensors"}},
            {"weight_map": {"a": "w.bin"}},
        )
    ),
    Case("weights that are a link", ELSEWHERE, ("m/model.safetensors", "link", "/etc/passwd"), M,
         "analyze.py", setup=link("m/model.safetensors", "/etc/passwd")),
    Case("a packed model", ("world=real_facts", "model.path={tmp}/m.zip"), ("m.zip", "unpack"),
         {"m.zip": "PK"}, "analyze.py"),
    _at("", "no model there"),
    _at("{tmp}/m/config.json", "config.json", "is a file"),
    _at("https://hf.co/gpt2", "https://hf.co/gpt2"),
    _at("gpt2@main", "gpt2@main"),
    _at("a/b/c", "a/b/c"),
    _at("[{tmp}/m,{tmp}/m]", "twice"),
    Case("one revision that is no list", (*ELSEWHERE, "model.revisions=main"),
         ("model.revisions", "list"), M, "analyze.py"),
    Case("revisions of several models", ("world=real_facts", "model.path=[a/b,c/d]",
         "model.revisions=[x]"), ("revisions", "a/b", "c/d"), script="analyze.py"),
    Case("a base that is an archive", ("experiment=continue_pretraining",
         "model.base={tmp}/m.tar.gz"), ("model.base", "m.tar.gz", "unpack"), {"m.tar.gz": b"\x1f"}),
)  # fmt: skip


def _run_of_others(folder: Path) -> None:
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "thesis.tex").write_text("years of work")


MINE = (*SMOKE, "run_id=mine", "paths.artifacts={tmp}")
PLACES: tuple[Case, ...] = (
    Case("a folder of other things for a run", MINE, ("runs/mine", "thesis.tex", "run_id=NAME"),
         setup=_run_of_others),
    Case("overwriting a folder of other things", (*MINE, "overwrite=true"),
         ("runs/mine", "thesis.tex"), setup=_run_of_others),
    Case("a run that is a file already", MINE, ("runs/mine", "is a file"), {"runs/mine": "x"}),
    Case("a run whose manifest is half", (*MINE, "resume=true"), ("runs/mine/manifest.json",),
         {"runs/mine/manifest.json": '{"sta'}),
    Case("data built over other files", (*SMOKE, "paths.data={tmp}"),
         ("paths.data", "{tmp}", "name another"), {"thesis.tex": "years of work"}, BUILD),
    Case("data built into a file", (*SMOKE, "paths.data={tmp}/file"),
         ("paths.data", "{tmp}/file"), {"file": "x"}, BUILD),
    Case("data built below a file", (*SMOKE, "paths.data={tmp}/file/data"),
         ("paths.data", "{tmp}/file"), {"file": "x"}, BUILD),
    Case("data built over half a manifest", (*SMOKE, "paths.data={tmp}"),
         ("manifest.json", "JSON", "remove"), {"manifest.json": "{"}, BUILD),
    Case("data built here", (*SMOKE, "paths.data=."), ("paths.data", "no directory"), {}, BUILD),
    Case("data of a run", ("run=x",), ("run",), {}, BUILD),
)  # fmt: skip
FILES = (*DATA, *TEXTS, *MODELS, *PLACES)
