"""What an analysis of two sides logs."""

import pytest

from coemerge.tracking.entity_relation import entity_relation_metrics
from tests.report.made_up_sides import post, side_tables

MADE_UP = {name: frame.to_dict("records") for name, frame in side_tables().items()}


def test_transfer_success_noise_and_shares_of_all_arms():
    found = entity_relation_metrics(MADE_UP)

    assert found["entity_relation/transfer/rome_entity_to_relation"] == pytest.approx(0.18)
    assert found["entity_relation/pre/kn_relation_on_removal"] == 0.03
    assert found["entity_relation/net_transfer/rome_entity_to_relation"] == pytest.approx(0.14)
    under = post("all", "rome", "entity", "relation", "efficacy")
    assert found["entity_relation/post/rome_entity_on_relation"] == under
    assert found["entity_relation/total_effect/prefixed_neutral"] == 0.06
    assert found["entity_relation/attention_share/relation"] == 0.52
    assert len(found) == 2 * 5 * 2 + 2 * 5 * 2 * 5 + 6 + 3


def test_what_is_not_there_or_not_defined_is_not_logged():
    rows = [{**row, "index": float("nan"), "net": float("nan")} for row in MADE_UP["side_transfer"]]

    assert entity_relation_metrics({}) == {}
    assert entity_relation_metrics({"side_transfer": rows}) == {}
