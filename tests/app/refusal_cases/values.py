"""Values of another kind, out of reach, or no number at all; names that are no names."""

from tests.app.refusal_cases.case import BUILD, MASKS, QUERIES, TWO_SIDES, Case, odd

SMOKE = "experiment=smoke"
NEURONS = ("study=knowledge_neurons", "run={tmp}")
LONG = "x" * 300
# Typed after experiment=smoke: the message has to hold the key and the value.
_TYPED = """
optimizer.lr=nan optimizer.lr=-inf optimizer.weight_decay=-1 optimizer.weight_decay=nan
optimizer.answer_weight=nan optimizer.betas=[0.9] optimizer.final_lr=nan
optimizer.clip_norm=0 optimizer.warmup_steps=-1 optimizer.lr=[1]
seed=1.5 seed=nan seed=x seed=99999999999 world.seed=-1 world.seed=nan
trainer.max_steps=0 trainer.max_steps=inf trainer.max_steps=99999999999999999999
trainer.accumulate=0 trainer.devices=0 trainer.devices=two trainer.num_nodes=0
trainer.resume_every=0 trainer.log_every=-1 trainer.threads=many
model.config.n_layer=0 model.config.n_layer=-2 model.config.n_layer=two model.config.n_head=nan
model.config.n_embd=1.5 model.attention=fast
corpus.row_length=1000000000 corpus.row_length=nan corpus.tokenizer.vocab_size=100000000000
corpus.tokenizer.sample=0 corpus.plan.documents.mcqa=1000000000000
corpus.plan.arms.shares.A0_full=nan corpus.plan.arms.shares.A0_full=inf
corpus.plan.timing.kind=often
prompts.n_held_out=0 prompts.n_held_out=-1 prompts.facts_per_relation=0 prompts.n_held_out=few
world.types.person.size=nan world.types.person.size=1.5
resume=1 device=tpu overwrite=maybe debug=maybe hub.download=perhaps end.checkpoints=1
""".split()
_NULL = """
optimizer.lr seed resume device paths.artifacts world.lexicon_path prompts.cues.openqa
corpus.plan.tasks corpus.background.mix model.config
""".split()
_LISTS = ("corpus.plan.tasks=mcqa", "world.use=birthplace", "optimizer.betas=0.9")
_GROUPS = ("world", "model", "logger", "callbacks")
_NAMES = ("..", ".", "'a\nb'", "'a b'", "-x", "'<script>'", "'a:b'", ".hidden", LONG, "'a\\b'")

VALUES: tuple[Case, ...] = (
    *(odd(SMOKE, typed) for typed in _TYPED),
    *(odd(SMOKE, f"{key}=null", culprits=(key, "must not be null")) for key in _NULL),
    *(odd(SMOKE, typed, culprits=(typed.split("=")[0], "list")) for typed in _LISTS),
    *(odd(SMOKE, f"{group}=null", culprits=(f"{group}=null", "there are: ")) for group in _GROUPS),
    *(odd(SMOKE, f"run_id={name}", culprits=("run_id", "plain name")) for name in _NAMES),
    odd(SMOKE, "corpus.background.mix.grammar=nan", culprits=("background.mix", "nan", "finite")),
    odd(SMOKE, "corpus.background.mix.grammar=inf", culprits=("background.mix", "inf", "finite")),
    odd(SMOKE, "experiment_name=../x", culprits=("experiment_name", "../x")),
    odd(SMOKE, "paths.artifacts=", culprits=("paths.artifacts", "name a directory")),
    odd(SMOKE, "world.use=[]", culprits=("world.use", "each once")),
    odd(SMOKE, "world.use=[birthplace,birthplace]", culprits=("world.use", "each once")),
    odd(SMOKE, "corpus.plan.tasks=[]", culprits=("corpus.plan.tasks", "at least one")),
    odd(SMOKE, "corpus.plan.tasks=[mcqa,mcqa]", culprits=("corpus.plan.tasks", "mcqa", "twice")),
    odd(SMOKE, "corpus.background.share=nan", culprits=("corpus.background.share", "[0, 1)")),
    odd(SMOKE, "corpus.background.early_until=nan", culprits=("early_until", "[0, 1]")),
    odd(SMOKE, "world.types.person.size=100000000", culprits=("person.size", "at most")),
    odd(SMOKE, "world.types.person.words=3", culprits=("world.types.person", "1 or 2")),
    odd(SMOKE, "prompts.n_held_out=100", culprits=("birthplace.yaml", "more than 100")),
    odd(SMOKE, "prompts.letters=[A,B]", culprits=("prompts.letters", "4 different")),
    odd(SMOKE, "prompts.letters=[A,B,C,'D E']", culprits=("prompts.letters", "D E", "one word")),
    odd(SMOKE, "prompts.yes=", culprits=("prompts.letters, yes, no", "one word")),
    odd(SMOKE, "prompts.blank=", culprits=("prompts.blank", "empty")),
    odd(SMOKE, "prompts.cues.openqa='a\nb'", culprits=("prompts", "one line")),
    odd(SMOKE, "prompts.cues.openqa='[X] asks:'", culprits=("prompts", "[X]")),
    odd(SMOKE, "+prompts.cues.quiz=Quiz:", culprits=("prompts.cues", "quiz")),
    odd(SMOKE, "prompts.answer_cues.mcqa=' A:'", culprits=("prompts", "without spaces")),
    odd(SMOKE, "+model.extra=1", culprits=("extra",)),
    odd(SMOKE, "seed=1", "seed=-2", culprits=("seed", "-2")),
    odd(SMOKE, "--seed=3", culprits=("--seed=3", "seed=NAME, without dashes")),
    odd("--study=report", culprits=("--study=report", "without dashes"), script="analyze.py"),
    odd("run={tmp}", "study=null", culprits=("study=null", "there are: "), script="analyze.py"),
    odd("run={tmp}", "logger=nne", culprits=("nne", "none"), script="analyze.py"),
    odd("run={tmp}", "seed=nan", script="analyze.py"),
    odd("run={tmp}", "score.base=best", script="analyze.py"),
    odd("run={tmp}", "hub.download=maybe", script="analyze.py"),
    odd("run={tmp}", "name=", culprits=("name", "plain name"), script="analyze.py"),
    odd("run={tmp}", "device=null", culprits=("device", "null"), script="analyze.py"),
    odd(*MASKS, "study.seed=half", script="analyze.py"),
    odd(*MASKS, "study.threshold=nan", script="analyze.py"),
    odd(*QUERIES, "study.tau=nan", script="analyze.py"),
    odd(*QUERIES, "study.k=null", culprits=("study.k",), script="analyze.py"),
    odd(*TWO_SIDES, "study.dev_share=nan", script="analyze.py"),
    odd(*TWO_SIDES, "study.key_tokens=1.5", script="analyze.py"),
    odd(
        "study=co_emergence",
        "run={tmp}",
        "study.thetas=[nan,0.6]",
        culprits=("study.thetas", "nan"),
        script="analyze.py",
    ),
    odd("study=emergence", "run=/no/run", culprits=("/no/run", "no run"), script="analyze.py"),
    odd("study=report", "run=[]", culprits=("run", "name a run"), script="analyze.py"),
    odd(*NEURONS, "study.steps=0", script="analyze.py"),
    odd(*NEURONS, "study.seed=-1", script="analyze.py"),
    odd(*NEURONS, "study.tau=nan", script="analyze.py"),
    odd(*NEURONS, "study.method=magic", script="analyze.py"),
    odd(*NEURONS, "study.least_accuracy=high", script="analyze.py"),
    odd(*NEURONS, "study.edited_token=middle", script="analyze.py"),
    odd(*NEURONS, "study.pairs=/no/pairs", script="analyze.py"),
    odd(*NEURONS, "study.nothing=1", culprits=("nothing",), script="analyze.py"),
    odd(SMOKE, "seed=-1", script=BUILD),
    odd("experiment=smok", culprits=("smok", "did you mean 'smoke'"), script=BUILD),
    odd("--experiment=smoke", culprits=("without dashes",), script=BUILD),
    odd(SMOKE, "study=report", culprits=("study",), script=BUILD),
    odd(SMOKE, "paths.data=", culprits=("paths.data", "name a directory"), script=BUILD),
    odd(SMOKE, "corpus.row_length=x", script=BUILD),
)
