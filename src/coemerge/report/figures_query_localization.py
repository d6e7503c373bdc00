"""The figures of the study ``query_localization`` (methods 5.6)."""

from coemerge.report.edit_tables import edits_say, score_rows
from coemerge.report.figure_consistency import draw_consistency, draw_wordings
from coemerge.report.figure_neuron_maps import draw_changed_maps, draw_maps
from coemerge.report.figure_query_effects import draw_edits, draw_mapping, draw_synapses
from coemerge.report.findings_queries import consistency_says
from coemerge.report.findings_query_effects import (
    changed_maps_say,
    mapping_says,
    maps_say,
    synapses_say,
    wordings_say,
)
from coemerge.report.picture import Picture
from coemerge.report.query_rows import (
    SETS,
    by_class,
    cuts,
    fact_rows,
    map_rows,
    of_main_localiser,
    wording_rows,
)

PICTURES: tuple[Picture, ...] = (
    Picture(
        "query_maps",
        "Neurons of two queries of a fact",
        "Highest attribution, by integrated gradients, in each group of neighbouring neurons, "
        "layers from below; one colour scale for all panels. The fact of each class is the one "
        "whose CS2 is nearest to the class's median.",
        ("neuron_maps",),
        lambda r: map_rows(r, changed=False),
        lambda r: draw_maps(map_rows(r, changed=False)),
        maps_say,
    ),
    Picture(
        "query_consistency",
        "How alike the neurons of a fact's queries are",
        "Each point is a fact (of a seed). CS2 grows with the number of "
        "queries and with the size of sets: compare with the nulls and with equally many neurons, "
        "not with other papers. Other facts: the same wordings, each of another fact of the "
        "relation; where these are as high, neurons are the relation's. Of facts with the same "
        "answer: where these are, they are the answer's. One query behind other texts: only where "
        "it is still answered right behind enough of them, which few facts are.",
        ("consistency", "consistency_means", "class_shares"),
        fact_rows,
        lambda r: draw_consistency(
            fact_rows(r),
            of_main_localiser(r, r.table("consistency_means")),
            {sets: cuts(r, sets) for sets in SETS},
        ),
        consistency_says,
    ),
    Picture(
        "query_mapping",
        "Whose neurons a query needs",
        "Change of the answer's probability, (P′ − P) / P, means over facts with 95 % intervals. "
        "Large sets do more than small ones: left, all sets of a query have as many neurons as the "
        "smallest of own, union and intersection, and a fact without one in common is left out. "
        "Another fact's: of a query in the same relation.",
        ("mapping_effects",),
        lambda r: by_class(r.table("mapping_effects"), "delta_prob"),
        lambda r: draw_mapping(by_class(r.table("mapping_effects"), "delta_prob")),
        mapping_says,
    ),
    Picture(
        "query_synapses",
        "What attention does to a query's neurons",
        "Knowledge synapses are columns of attention with a high mean. Multiplying them changes "
        "the query's neurons (ΔKN, of their sum of sizes) and the answer. Control: as many "
        "columns at the same relative places as in a query of another relation, the query's own "
        "synapses left out.",
        ("synapse_effects",),
        lambda r: by_class(r.table("synapse_effects"), "value"),
        lambda r: draw_synapses(by_class(r.table("synapse_effects"), "value")),
        synapses_say,
    ),
    Picture(
        "query_changed_maps",
        "Neurons under suppressed and enhanced synapses",
        "As in the first figure, one colour scale for all panels.",
        ("neuron_maps",),
        lambda r: map_rows(r, changed=True),
        lambda r: draw_changed_maps(map_rows(r, changed=True)),
        changed_maps_say,
    ),
    Picture(
        "query_edits",
        "Edits of one query's neurons, of all queries', and of those that queries share",
        "Means over facts with 95 % intervals; only queries answered right before count for Rel "
        "and Gen. Gen is measured on queries that global and consistency-aware sets were made of, "
        "hence the wordings beside it. Black ticks: the untouched model. Perplexity: of questions "
        "with option sets that training never showed, about any fact; or of the file named in "
        "study.text. ROME and MEMIT, editors that choose no neurons, stand beside updates.",
        ("edit_scores",),
        score_rows,
        lambda r: draw_edits(score_rows(r)),
        edits_say,
    ),
    Picture(
        "query_wordings",
        "Consistency by how training showed a fact",
        "Facts of arm A8, by chance shown once, repeatedly in one wording, or in many wordings. "
        "Above: all of these facts, right or not, a contrast that chance decided. Below: known "
        "facts alone; the regime also decides which are known. 95 % intervals.",
        ("wording_effects",),
        wording_rows,
        lambda r: draw_wordings(wording_rows(r)),
        wordings_say,
    ),
)
