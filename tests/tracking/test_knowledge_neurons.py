"""What an analysis of knowledge neurons logs."""

import math

import pytest

from coemerge.tracking.knowledge_neurons import knowledge_neurons_metrics
from tests.report.made_up_neurons import effect, excess, neuron_tables, rate, rewritten

MADE_UP = {name: frame.to_dict("records") for name, frame in neuron_tables().items()}


def test_sets_effects_edits_and_what_they_imply():
    found = knowledge_neurons_metrics(MADE_UP)

    assert found["knowledge_neurons/n_neurons/syntax_class"] == pytest.approx(3.5)
    assert found["knowledge_neurons/excess/facts_class"] == pytest.approx(excess("facts", "class"))
    own = effect("facts", "class", "suppressed", "none", "error")
    assert found["knowledge_neurons/error_change/facts_suppressed"] == pytest.approx(own)
    under = rewritten("syntax", "memit", "ps", "post")
    assert found["knowledge_neurons/ps/syntax_memit"] == pytest.approx(under)
    assert found["knowledge_neurons/total_effect/syntax"] == 0.5
    assert found["knowledge_neurons/cooccurrence/suppressed_with_agreement"] == 0.05
    asked = ("synonymy", "ft", "stated_known", "synonym_new", "post")
    assert found["knowledge_neurons/stated_known_post/synonymy_ft_synonym_new"] == rate(*asked)


def test_what_is_not_there_or_not_defined_is_not_logged():
    rates = [{**row, "value": math.nan, "n": 0} for row in MADE_UP["implication_rates"]]
    groups = [{**row, "excess": math.nan} for row in MADE_UP["neuron_groups"]]

    assert knowledge_neurons_metrics({}) == {}
    assert knowledge_neurons_metrics({"implication_rates": rates}) == {}
    assert not any(
        "excess" in name for name in knowledge_neurons_metrics({"neuron_groups": groups})
    )
