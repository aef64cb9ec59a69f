"""Two targets and two providers, measured for real: where scores agree to the bit, and where they do not."""

from __future__ import annotations

from tests.harness.command import Workplace
from tests.support import faces, models

TWO = '[targets.here]\narchitecture = ""\n[targets.there]\narchitecture = ""\n'


def test_scores_are_held_against_a_reference(workplace: Workplace) -> None:
    faces.make(workplace.folder / "faces", 20)
    models.null_model(workplace.folder / "models", "drifting", drift={"gpu": 0.3})
    (workplace.folder / "edgerig.toml").write_text(TWO)
    words = ("--target", "here,there", "--provider", "cpu,gpu", "--variants", "models", "--faces", "faces", "--quick")
    record = workplace.json("run", *words)
    found = {(e["here"]["target"], e["here"]["provider"]): e for e in record["agreement"]}
    assert {(e["reference"]["target"], e["reference"]["provider"]) for e in found.values()} == {("here", "cpu")}
    assert (found["there", "cpu"]["identical"], found["there", "cpu"]["faces"]) == (True, 20)
    assert found["there", "cpu"]["confounders"] == []
    for target in ("here", "there"):
        drifted = found[target, "gpu"]
        assert (drifted["identical"], round(drifted["largest_difference"], 4)) == (False, 0.3)
        assert [one["name"] for one in drifted["confounders"]] == ["provider"]
        assert 0 < drifted["flips"] == len(drifted["flipped"])
        assert all(flip["reference"] < 0.5 <= flip["here"] for flip in drifted["flipped"])
    shown = workplace.run("show").stdout.replace("\n", " ")
    assert "bit-identical with those on here, null cpu" in " ".join(shown.split())
