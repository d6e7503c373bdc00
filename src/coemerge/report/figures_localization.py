"""The figures of the study ``task_localization``, and of masks trained while a model trains."""

from coemerge.report.figure_mask_training import draw_training
from coemerge.report.figure_mask_units import draw_layers, draw_overlap
from coemerge.report.figure_masks import MEASURES, draw_by_task, draw_controls, draw_drops
from coemerge.report.mask_rows import drop_rows, format_rows, layer_rows, measure_rows, size_rows
from coemerge.report.picture import Picture
from coemerge.report.results import pick

PICTURES: tuple[Picture, ...] = (
    Picture(
        "mask_drops",
        "What ablating the units of one format costs, format by format",
        "Mean relative drop of accuracy, (base − ablated) / base, ± standard deviation across "
        "facts; all masks, valid or not; prompts in wordings that mask training never saw. Last "
        "row: other facts of the same relation, which training told masks to spare in other "
        "phrasings, asked in its format. "
        "Specific masks have a bright diagonal and are dark elsewhere.",
        ("drop_matrix",),
        drop_rows,
        lambda r: draw_drops(drop_rows(r)),
    ),
    Picture(
        "mask_controls",
        "Masks beside their controls",
        "Means over facts and formats, with 95 % intervals; no bar: not measured. Yellow: "
        "published ranges. Valid masks are chosen by these very numbers (own format loses at least "
        "20 %, nothing else more than 10 %, recovery at least 50 %), so that their panel shows "
        "what was asked for: read its number of facts beside that of all masks. A second mask for "
        "the same fact and format that does as well as the first says that disjoint masks are no "
        "evidence for separate stores.",
        ("mask_measures",),
        lambda r: pick(measure_rows(r, *MEASURES), task="all"),
        lambda r: draw_controls(pick(measure_rows(r, *MEASURES), task="all")),
    ),
    Picture(
        "mask_by_format",
        "Masks beside their controls, format by format",
        "The same of all masks for each format. Recovery may exceed 100 %: patched prompts can be "
        "answered better than untouched ones.",
        ("mask_measures",),
        lambda r: format_rows(r, "target_drop", "recovery"),
        lambda r: draw_by_task(format_rows(r, "target_drop", "recovery")),
    ),
    Picture(
        "mask_layers",
        "Sizes of masks, layer by layer",
        "Mean share of a layer's heads and neurons that a mask holds, with 95 % intervals; dashed: "
        "discriminative formats. Sizes follow from the weight of the sparsity term: compare "
        "formats and layers, not the level.",
        ("mask_layers", "mask_measures"),
        layer_rows,
        lambda r: draw_layers(layer_rows(r), size_rows(r)),
    ),
    Picture(
        "mask_overlap",
        "Units that masks share when they may",
        "Jaccard overlap of masks trained without the ban on each other's units. Two masks of one "
        "fact share a subject, two of one format share a format: if the diagonal is brighter than "
        "the rest, units belong to formats more than to facts. Grey: no two facts of one relation.",
        ("mask_overlap",),
        lambda r: r.table("mask_overlap").dropna(subset=["jaccard"]),
        lambda r: draw_overlap(r.table("mask_overlap").dropna(subset=["jaccard"])),
    ),
    Picture(
        "mask_training",
        "Masks while the model trains",
        "Short mask trainings at some steps; means over the same few facts, each from when on the "
        "model knows it in two formats, so that early points rest on fewer facts. Where it does "
        "not answer there is nothing to take away, and no point.",
        ("localization", "localization_overlaps"),
        lambda r: r.table("localization"),
        lambda r: draw_training(r.table("localization"), r.table("localization_overlaps")),
    ),
)
