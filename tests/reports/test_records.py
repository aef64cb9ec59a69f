from __future__ import annotations

import jsonschema
import pytest
from pydantic import ValidationError

from harness.agent import protocol
from reports import records
from reports.records import Key, Metric, Outcome, Run


def test_the_words_are_those_of_the_device() -> None:
    assert records.STAGES == protocol.STAGES
    assert records.PHASES == protocol.PHASES
    assert set(protocol.OUTCOMES) == set(Outcome) - {Outcome.LOST, Outcome.SKIPPED}


def test_a_run_is_valid_by_its_own_schema(run: Run) -> None:
    jsonschema.validate(run.model_dump(mode="json"), records.json_schema())


def test_records_take_no_unknown_key_no_nan_and_no_change() -> None:
    with pytest.raises(ValidationError):
        Metric.model_validate({"metric": "m", "scope": "s", "unit": "", "value": float("nan"), "n": 1})
    with pytest.raises(ValidationError):
        Metric.model_validate({"metric": "m", "scope": "s", "unit": "", "value": 1.0, "n": 1, "surprise": 1})
    key = Key(variant="v", target="t", runtime="r", provider="p", threads=1)
    with pytest.raises(ValidationError):
        key.threads = 2  # type: ignore[misc]


def test_a_key_reads_as_a_sentence() -> None:
    key = Key(variant="v", target="t", runtime="onnxruntime", provider="cpu", threads=1)
    assert str(key) == "v on t, onnxruntime cpu, 1 thread"
    assert str(key.model_copy(update={"threads": 4})).endswith("4 threads")
