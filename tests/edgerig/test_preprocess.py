from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerig.preprocess import InputSpec, OutputSpec, Preprocessor, centre_crop, postprocess, resize

Picture = np.ndarray[Any, np.dtype[np.uint8]]
SIDES = st.integers(1, 70)
relaxed = settings(deadline=None)


def noise(rows: int, columns: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)


def differs_by(one: Picture, other: Picture) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@settings(max_examples=150, deadline=None)
@given(rows=SIDES, columns=SIDES, height=SIDES, width=SIDES, seed=st.integers(0, 9))
def test_linear_is_opencv_s(rows: int, columns: int, height: int, width: int, seed: int) -> None:
    picture = noise(rows, columns, seed)
    expected = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    assert differs_by(resize(picture, height, width, "linear"), np.asarray(expected, np.uint8)) <= 1


@settings(max_examples=150, deadline=None)
@given(rows=SIDES, columns=SIDES, share=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)), seed=st.integers(0, 9))
def test_area_is_opencv_s_when_shrinking(rows: int, columns: int, share: tuple[float, float], seed: int) -> None:
    height, width = max(1, int(rows * share[0])), max(1, int(columns * share[1]))
    picture = noise(rows, columns, seed)
    expected = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    assert differs_by(resize(picture, height, width, "area"), np.asarray(expected, np.uint8)) <= 1


@pytest.mark.parametrize(("rows", "columns"), [(720, 1280), (257, 255), (160, 160), (161, 320)])
def test_area_at_the_sizes_that_are_used(rows: int, columns: int) -> None:
    picture = noise(rows, columns)
    expected = cv2.resize(picture, (160, 160), interpolation=cv2.INTER_AREA)
    assert differs_by(resize(picture, 160, 160, "area"), np.asarray(expected, np.uint8)) <= 1


def test_area_enlarges_linearly() -> None:
    picture = noise(9, 7)
    np.testing.assert_array_equal(resize(picture, 20, 20, "area"), resize(picture, 20, 20, "linear"))


@relaxed
@given(rows=SIDES, columns=SIDES, height=SIDES, width=SIDES)
def test_a_flat_picture_stays_flat(rows: int, columns: int, height: int, width: int) -> None:
    picture = np.full((rows, columns, 3), 137, np.uint8)
    for method in ("area", "linear"):
        assert (resize(picture, height, width, method) == 137).all()


@relaxed
@given(rows=SIDES, columns=SIDES, height=SIDES, width=SIDES)
def test_a_crop_is_centred_and_as_large_as_it_can_be(rows: int, columns: int, height: int, width: int) -> None:
    picture = np.zeros((rows, columns, 3), np.uint8)
    kept_rows, kept_columns, _ = centre_crop(picture, height, width).shape
    assert kept_rows == rows or kept_columns == columns
    # One more row or column would be too many for the shape.
    if kept_rows < rows:
        assert kept_rows == max(1, columns * height // width)
    if kept_columns < columns:
        assert kept_columns == max(1, rows * width // height)


def test_a_crop_takes_the_middle() -> None:
    picture = np.arange(10, dtype=np.uint8)[None, :, None].repeat(4, 0).repeat(3, 2)
    assert centre_crop(picture, 4, 4)[0, :, 0].tolist() == [3, 4, 5, 6]
    assert centre_crop(picture.transpose(1, 0, 2), 4, 4)[:, 0, 0].tolist() == [3, 4, 5, 6]


def reference(picture: Picture, spec: InputSpec) -> np.ndarray[Any, Any]:
    """What the tensor is by its definition, in float64."""
    pixels = picture[:, :, ::-1] if spec.colour == "RGB" else picture
    tensor: np.ndarray[Any, Any] = (pixels / 255.0 - np.array(spec.mean)) / np.array(spec.std)
    return tensor.transpose(2, 0, 1)[None] if spec.layout == "NCHW" else tensor[None]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 3e-3)])
def test_layouts_colours_and_types(layout: str, colour: str, dtype: str, tolerance: float) -> None:
    spec = InputSpec(6, 9, layout, colour, dtype, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    picture = noise(6, 9)
    tensor = Preprocessor(spec)(picture)
    assert (tensor.dtype, tensor.shape) == (np.dtype(dtype), spec.shape)
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor, reference(picture, spec), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "scale", "zero_point"), [("uint8", 0.02, 110), ("int8", 0.0175, -3)])
def test_quantized_inputs(dtype: str, scale: float, zero_point: int) -> None:
    spec = InputSpec(8, 8, dtype=dtype, mean=(0.5, 0.5, 0.5), std=(0.25, 0.3, 0.35), scale=scale, zero_point=zero_point)
    picture = noise(8, 8)
    limits = np.iinfo(dtype)
    exact = np.clip(reference(picture, spec) / scale + zero_point, limits.min, limits.max)
    tensor = Preprocessor(spec)(picture)
    assert tensor.dtype == np.dtype(dtype)
    assert np.abs(tensor - exact).max() <= 0.5 + 1e-4


def test_raw_pixels() -> None:
    raw = (1 / 255, 1 / 255, 1 / 255)
    picture = noise(5, 5)
    floats = Preprocessor(InputSpec(5, 5, "NHWC", "BGR", std=raw))(picture)
    np.testing.assert_allclose(floats[0], picture, atol=1e-4)
    levels = Preprocessor(InputSpec(5, 5, "NHWC", "BGR", "uint8", std=raw, scale=1.0))(picture)
    np.testing.assert_array_equal(levels[0], picture)


def test_the_tensor_is_one_array_and_the_picture_is_left_alone() -> None:
    prepare = Preprocessor(InputSpec(4, 4, fit="crop"))
    picture = noise(16, 30)
    before = picture.copy()
    first = prepare(picture)
    kept = first.copy()
    assert prepare(noise(4, 4, 1)) is first
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(prepare(picture), kept)
    np.testing.assert_array_equal(kept, prepare(picture[:, 7:23]))


def test_a_resizer_of_one_s_own() -> None:
    asked = []

    def grey(picture: Picture, height: int, width: int, method: str) -> Picture:
        asked.append((picture.shape, height, width, method))
        return np.full((height, width, 3), 51, np.uint8)

    prepare = Preprocessor(InputSpec(4, 6, resize="linear"), grey)
    assert np.allclose(prepare(noise(10, 10)), 0.2)
    prepare(noise(4, 6))  # has its size already
    assert asked == [((10, 10, 3), 4, 6, "linear")]


LOGITS = st.lists(st.floats(-80, 80), min_size=2, max_size=5)


@relaxed
@given(LOGITS)
def test_softmax_of_logits(row: list[float]) -> None:
    powers = [math.exp(value - max(row)) for value in row]
    for index in range(len(row)):
        score = postprocess(np.array([row]), OutputSpec("logits", index=index))
        assert score[0] == pytest.approx(powers[index] / sum(powers), rel=1e-9, abs=1e-15)


@relaxed
@given(st.floats(-700, 700))
def test_sigmoid_of_one_logit(value: float) -> None:
    score = postprocess(np.array([[value]]), OutputSpec("logits", index=0))
    assert score[0] == pytest.approx(1 / (1 + math.exp(-value)), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("values", [[[1e30, -1e30]], [[-np.inf, 0.0]], [[3e38, 3e38]]])
def test_logits_beyond_reason_are_no_warning(values: list[list[float]]) -> None:
    scores = postprocess(np.array(values, np.float32), OutputSpec("logits"))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_nan_stays_nan() -> None:
    rows = np.array([[np.nan, 0.0], [0.0, 1.0]])
    for kind in ("logits", "softmax"):
        assert np.isnan(postprocess(rows, OutputSpec(kind, index=0))).tolist() == [True, False]


def test_probabilities_inverted_and_quantized() -> None:
    rows = np.array([[10, 200], [100, 110]], np.uint8)
    spec = OutputSpec("softmax", index=1, inverted=True, scale=1 / 256, zero_point=0)
    np.testing.assert_allclose(postprocess(rows, spec), [1 - 200 / 256, 1 - 110 / 256])
    signed = OutputSpec("probability", index=0, scale=1 / 256, zero_point=-128)
    np.testing.assert_allclose(postprocess(np.array([[-128], [127]], np.int8), signed), [0, 255 / 256])


def test_any_shape_that_flattens_row_by_row() -> None:
    outputs = np.arange(6.0).reshape(3, 1, 1, 2)
    np.testing.assert_allclose(postprocess(outputs, OutputSpec("softmax")), [1, 3, 5])
