"""A planted answer: a model with weights set by hand, in which one neuron holds one (fact, task).

One layer. A prompt is [task, subject, question]; attention is uniform, so that the residual at the
question holds all three; the neuron of (subject, task) fires only if both are there, and writes the
fact's object. Everything else the model knows is nothing: with that neuron closed, all objects are
equally likely.
"""

from typing import Any

import pyarrow as pa
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from coemerge.tables.store import make_table

N_FACTS, N_TASKS, N_SPARE, N_TEMPLATES = 4, 3, 8, 4
FACTS = [f"fact-{f}" for f in range(N_FACTS)]
TASKS = [f"task-{t}" for t in range(N_TASKS)]
QUESTIONS = list(range(N_TEMPLATES))  # one token per template
FIRST_TASK = N_TEMPLATES
FIRST_SUBJECT = FIRST_TASK + N_TASKS
FIRST_OBJECT = FIRST_SUBJECT + N_FACTS
PLACEHOLDER = FIRST_OBJECT + N_FACTS
D_VOCAB = PLACEHOLDER + 1
D_MLP = N_FACTS * N_TASKS + N_SPARE
N_HEADS = 2


def neuron_of(fact: int, task: int) -> int:
    return fact * N_TASKS + task


def planted_model() -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=D_VOCAB,
        n_positions=8,
        n_embd=2 * D_VOCAB,
        n_layer=1,
        n_head=N_HEADS,
        n_inner=D_MLP,
        activation_function="relu",
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model: Any = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "ln" in name and name.endswith("weight") else 0.0)
        block, d = model.transformer.h[0], 2 * D_VOCAB
        # One axis per token, balanced by a second so that layer norm's mean is 0.
        model.transformer.wte.weight[:, :D_VOCAB] = torch.eye(D_VOCAB)
        model.transformer.wte.weight[:, D_VOCAB:] = -torch.eye(D_VOCAB)
        block.attn.c_attn.weight[:, 2 * d :] = torch.eye(d)  # values; queries and keys are 0
        block.attn.c_proj.weight.copy_(torch.eye(d))
        for fact in range(N_FACTS):
            for task in range(N_TASKS):
                neuron = neuron_of(fact, task)
                for token in (FIRST_SUBJECT + fact, FIRST_TASK + task):
                    block.mlp.c_fc.weight[token, neuron] = 1.0
                    block.mlp.c_fc.weight[D_VOCAB + token, neuron] = -1.0  # the other head's half
                block.mlp.c_proj.weight[neuron, FIRST_OBJECT + fact] = 40.0
                block.mlp.c_proj.weight[neuron, D_VOCAB + FIRST_OBJECT + fact] = -40.0
        block.mlp.c_fc.bias.fill_(_threshold(model))
        model.lm_head.weight[:, :D_VOCAB] = 2 * torch.eye(D_VOCAB)
    return model


@torch.no_grad()
def _threshold(model: Any) -> float:
    """Between what a neuron receives from both of its tokens and from one of them."""
    seen: list[torch.Tensor] = []
    hook = model.transformer.h[0].mlp.c_fc.register_forward_hook(
        lambda _m, _a, out: seen.append(out[0, -1])
    )
    model(torch.tensor([[FIRST_TASK, FIRST_SUBJECT, 0]]))
    hook.remove()
    both, one = seen[0][neuron_of(0, 0)], seen[0][neuron_of(0, 1)]
    return -float((both + one) / 2)


def planted_prompts() -> pa.Table:
    """Two templates for training and two held out, of every fact and task."""
    return prompt_table(
        (fact, task, template, [FIRST_TASK + task, FIRST_SUBJECT + fact, QUESTIONS[template]], fact)
        for fact in range(N_FACTS)
        for task in range(N_TASKS)
        for template in range(N_TEMPLATES)
    )


def prompt_table(rows: Any) -> pa.Table:
    """(fact, task, template, ids, object) each, the subject at position 1."""
    objects = [FIRST_OBJECT + f for f in range(N_FACTS)]
    records = [
        {
            "prompt_id": f"{FACTS[f]}/{TASKS[t]}/{template}/none/0",
            "fact_id": FACTS[f],
            "relation": "relation",
            "task": TASKS[t],
            "template_id": template,
            "split": "seen_templates" if template < N_TEMPLATES // 2 else "held_out_templates",
            "options": "none",
            "variant": 0,
            "text": f"task {t} subject {f} question {template}",
            "answer": f"object {objects[o]}",
            "ids": ids,
            "answer_ids": [objects[o]],
            "candidate_ids": objects,
            "option_order": [],
            "polarity": "",
            "subject_start": 1,
            "subject_stop": 2,
            "relation_spans": [],
            "answer_pos": len(ids) - 1,
            "chance": 1 / N_FACTS,
            "prior": 1 / N_FACTS,
        }
        for f, t, template, ids, o in rows
    ]
    columns = {name: [record[name] for record in records] for name in records[0]}
    return make_table("prompts", columns)
