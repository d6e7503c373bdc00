"""What an analysis of reasoning logs."""

from coemerge.tracking.chain_of_thought import chain_of_thought_metrics


def row(masks: str, drop: float, floor: float, **changes: str) -> dict:
    usual = {"task": "all", "route": "all", "prompting": "cot"}
    return {**usual, "masks": masks, "drop": drop, "floor": floor, **changes}


def test_drops_over_all_formats_stand_beside_their_floors():
    rows = [
        row("own", 0.5, 0.1),
        row("own", 0.4, 0.0, prompting="direct"),
        row("own", 0.9, 0.9, task="mcqa"),
        row("own", 0.8, 0.8, route="completion"),
    ]

    assert chain_of_thought_metrics({"cot_drops": rows}) == {
        "chain_of_thought/cot/own": 0.5,
        "chain_of_thought/cot/own_floor": 0.1,
        "chain_of_thought/direct/own": 0.4,
        "chain_of_thought/direct/own_floor": 0.0,
    }
