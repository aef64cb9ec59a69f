from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reports import agreement, text
from reports.agreement import MOST_FLIPPED, Scored
from reports.formats import FORMATS
from reports.html import render
from reports.records import Agreement, Place, Run
from tests.reports.synthetic import HOSTILE, fingerprint

FACES = {f"real/{n}.png": 0.1 * n for n in range(10)}
LABELS = dict.fromkeys(FACES, "real")


def scored(target: str = "x86", *, runtime: str = "onnxruntime", variant: str = "net", **changes: Any) -> Scored:
    place = Place(variant=variant, target=target, runtime=runtime, provider="cpu")
    machine = "x86_64" if target == "x86" else "aarch64"
    return replace(Scored(place, FACES, LABELS, 0.5, fingerprint("net", "x86", 1), machine), **changes)


def only(*passes: Scored, parents: dict[str, str] | None = None) -> Agreement:
    (entry,) = agreement.agreement(passes, parents or {})
    return entry


def test_equal_scores_are_bit_identical() -> None:
    entry = only(scored(), scored("pi4"))
    assert (entry.identical, entry.largest_difference, entry.flips, entry.faces) == (True, 0.0, 0, 10)
    assert agreement.difference(entry) == "bit-identical"


def test_the_last_bit_counts() -> None:
    odd = {**FACES, "real/3.png": FACES["real/3.png"] + 5e-17}
    assert odd != FACES
    entry = only(scored(), scored("pi4", scores=odd))
    assert (entry.identical, entry.flips, entry.largest_face) == (False, 0, "real/3.png")
    assert "bit-identical" not in agreement.difference(entry)


def test_faces_that_flip_are_named_with_both_scores() -> None:
    other = {**FACES, "real/5.png": 0.49, "real/4.png": 0.5}  # at the threshold is fake
    entry = only(scored(), scored("pi4", scores=other))
    assert [(flip.path, flip.label, flip.reference, flip.here) for flip in entry.flipped] == [
        ("real/4.png", "real", 0.4, 0.5),
        ("real/5.png", "real", 0.5, 0.49),
    ]
    assert entry.flips == 2
    assert entry.largest_difference == pytest.approx(0.1)


def test_many_flips_are_counted_and_the_first_ones_listed() -> None:
    low = {f"{n}.png": 0.2 for n in range(MOST_FLIPPED + 9)}
    entry = only(scored(scores=low), scored("pi4", scores=dict.fromkeys(low, 0.8)))
    assert (entry.flips, len(entry.flipped)) == (MOST_FLIPPED + 9, MOST_FLIPPED)


def test_only_faces_that_both_scored_are_compared() -> None:
    few = {"real/9.png": 0.9, "real/2.png": 0.2, "other.png": 1.0}
    entry = only(scored(), scored("arm", scores=few, emulated=True))
    assert (entry.faces, entry.identical) == (2, True)
    assert only(scored(), scored("arm", scores={"other.png": 1.0})).reason == "no face was scored by both"


@pytest.mark.parametrize(
    "passes",
    [
        (scored("pi4"), scored("x86")),
        (scored("x86", emulated=True), scored("pi4")),
        (scored("x86", runtime="tflite"), scored("x86")),
        (scored("x86", reason="NaN for 1 of 10 faces", scores={}), scored("pi4")),
        (scored("x86", runtime="openvino"), scored("x86", runtime="onnxruntime==1.23.2")),
    ],
    ids=["x86", "real", "onnxruntime", "scores", "version"],
)
def test_the_plainest_place_is_the_reference(passes: tuple[Scored, Scored]) -> None:
    assert only(*passes).reference == passes[1].place


def test_what_has_no_scores_says_why() -> None:
    entry = only(scored(), scored("pi4", reason="NaN for 1 of 10 faces", scores={}))
    assert (entry.reason, entry.largest_difference) == (
        "pi4, onnxruntime cpu has no scores: NaN for 1 of 10 faces",
        None,
    )
    assert (entry.identical, agreement.difference(entry)) == (False, "not compared")


def confounders(same_faces: bool = True, **changes: str) -> list[str]:
    scores = FACES if same_faces else {"real/2.png": 0.2}
    entry = only(scored(), scored("pi4", scores=scores, fingerprint=fingerprint("net", "x86", 1, **changes)))
    return agreement.suspects(entry)


def test_confounders_are_named() -> None:
    assert confounders() == []
    assert confounders(runtime_version="1.24.0", precision="int8") == ["runtime version", "precision"]
    assert confounders(os="another", kernel="another") == []  # neither changes a score
    assert agreement.suspects(only(scored(), scored(runtime="tflite"))) == ["runtime"]


def test_equal_pixels_rule_the_decoder_out() -> None:
    assert confounders(decoder="none") == []
    assert confounders(decoder="none", pixels_sha256="ef" * 32) == ["decoder", "pixels"]


def test_digests_over_other_faces_say_nothing() -> None:
    assert confounders(same_faces=False, pixels_sha256="ef" * 32) == []
    assert confounders(same_faces=False, decoder="none") == ["decoder"]


def test_a_variant_is_held_against_its_parent_on_the_same_place() -> None:
    parent = [scored(variant="net"), scored("pi4", variant="net")]
    child = scored("pi4", variant="net-int8", scores={**FACES, "real/5.png": 0.4})
    place, against = agreement.agreement([*parent, child], {"net-int8": "net"})
    assert (place.kind, against.kind, against.reference, against.flips) == ("place", "parent", parent[1].place, 1)


def divided(gap: float, noise: float = 0.3, groups: int = 20) -> dict[str, Any]:
    """Return scores that tell real from fake the better, the wider the gap; two faces a group."""
    draw = np.random.default_rng(4)
    names = [f"{label}/{number}" for number in range(groups) for label in ("real", "fake")]
    return {
        "scores": {name: float(draw.normal(gap * name.startswith("fake"), noise)) for name in names},
        "labels": {name: name.split("/")[0] for name in names},
        "groups": {name: name.split("/")[1] for name in names},
    }


def test_against_its_parent_a_variant_has_a_difference_of_auc_with_a_paired_interval() -> None:
    parent, child = divided(0.8), divided(0.3)
    _, entry = agreement.agreement(
        [scored("pi4", variant="a", **parent), scored(variant="b", **child), scored(variant="a", **parent)], {"b": "a"}
    )
    assert entry.kind == "parent"
    truth = [name.startswith("fake") for name in parent["labels"]]
    expected = roc_auc_score(truth, [*child["scores"].values()]) - roc_auc_score(truth, [*parent["scores"].values()])
    assert entry.auc_difference == pytest.approx(expected)
    assert entry.auc_difference_low is not None
    assert entry.auc_difference_high is not None
    assert entry.auc_difference_low < expected < entry.auc_difference_high < 0
    assert agreement.areas(entry).startswith(f"{expected:+.4f} ({entry.auc_difference_low:+.4f} to ")


def test_the_interval_is_left_out_where_groups_are_few_and_the_difference_with_one_class() -> None:
    few = divided(0.5, groups=5)
    entry = only(scored(variant="a", **few), scored(variant="b", **few), parents={"b": "a"})
    assert (entry.auc_difference, entry.auc_difference_low, agreement.areas(entry)) == (0.0, None, "+0.0000")
    entry = only(scored(variant="a"), scored(variant="b"), parents={"b": "a"})
    assert (entry.auc_difference, agreement.areas(entry)) == (None, "")
    place = only(scored(**few), scored("pi4", **few))
    assert place.auc_difference is None


def test_without_a_second_place_there_is_nothing_to_say() -> None:
    assert agreement.agreement([scored()], {"net": "absent"}) == ()


def shown(run: Run) -> Run:
    passes = [
        scored(variant=HOSTILE, scores={**FACES, HOSTILE: 0.3}),
        scored("pi4", variant=HOSTILE, scores={**FACES, HOSTILE: 0.9}),
        scored("arm64", variant=HOSTILE),
    ]
    return run.model_copy(update={"agreement": agreement.agreement(passes, {})})


def test_every_format_shows_it_and_nothing_of_it_is_markup(run: Run) -> None:
    found = shown(run)
    (first, _) = list(csv.DictReader(io.StringIO(FORMATS["csv"](found, None)["agreement.csv"])))
    assert (first["target"], first["reference_target"], first["faces"], first["flips"]) == ("pi4", "x86", "11", "1")
    assert first["identical"] == "false"
    assert float(first["largest_difference"]) == pytest.approx(0.6)
    page = render(found)
    assert "The same scores everywhere?" in page
    assert "bit-identical" in page
    assert "1 face decided otherwise" in page
    assert HOSTILE not in page
    assert "scores on pi4, onnxruntime cpu differ by at most 0.6 " in FORMATS["markdown"](found, None)["summary.md"]
    assert "bit-identical" in text.as_text(found)


def test_the_difference_of_auc_stands_in_table_and_page(run: Run) -> None:
    passes = [scored(variant="a", **divided(0.8)), scored(variant="b", **divided(0.3))]
    found = run.model_copy(update={"agreement": agreement.agreement(passes, {"b": "a"})})
    (row,) = list(csv.DictReader(io.StringIO(FORMATS["csv"](found, None)["agreement.csv"])))
    low, value, high = (float(row[f"auc_difference{end}"]) for end in ("_low", "", "_high"))
    assert low < value < high < 0
    assert f'<td class="n">{agreement.areas(found.agreement[0])}</td>' in render(found)
    assert "AUC against it" not in render(shown(run))


def test_a_run_of_one_place_has_no_section(run: Run) -> None:
    assert "The same scores everywhere?" not in render(run)
