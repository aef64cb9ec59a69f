"""A wrong TOML file is refused with its path, the key's path and the nearest match."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgerig import toml
from edgerig.errors import ConfigError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    height: int
    colour: str = "RGB"


class Paint(BaseModel):
    model_config = ConfigDict(extra="forbid")

    do: Literal["paint"]
    hue: int = 1
    brush: Inner | None = None


class Cut(BaseModel):
    model_config = ConfigDict(extra="forbid")

    do: Literal["cut"]
    paint: Inner  # a key that is called like another step
    origin: str = Field("", alias="from")


Step = Annotated[Paint | Cut, Field(discriminator="do")]


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    size: Inner | None = None
    many: dict[str, Inner] = {}
    row: tuple[Inner, ...] = ()
    step: Step | None = None
    steps: tuple[Step, ...] = ()
    word: int | Inner = 0

    @model_validator(mode="after")
    def _sensible(self) -> Outer:
        if self.name == "forbidden":
            raise ValueError("this name is taken")
        return self


def refused(text: str, folder: Path) -> tuple[str, str]:
    path = folder / "a.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        toml.validated(Outer, toml.load(path), "a.toml")
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("name = 'a'\nsizes = 1", "unknown key 'sizes'.", "Did you mean 'size'?"),
        ("nmae = 'a'", "unknown key 'nmae'.", "Did you mean 'name'?"),  # not: 'name' is missing
        ("name = 'a'\nNAME = 'b'", "unknown key 'NAME'.", "Did you mean 'name'?"),
        ("name = 'a'\nzzz = 1", "unknown key 'zzz'.", "Known here: many, name, row, size, step, steps, word."),
        ("name = 'a'\n[size]\nheigth = 1", "unknown key 'size.heigth'.", "Did you mean 'height'?"),
        ("name = 'a'\n[many.x]\nheight = 1\ncolor = ''", "unknown key 'many.x.color'.", "Did you mean 'colour'?"),
        ("name = 'a'\n[[row]]\nheight = 1\ncolor = ''", "unknown key 'row.0.color'.", "Did you mean 'colour'?"),
        ("name = 'a'\n[many.name]\nheight = 1\ncolor = ''", "unknown key 'many.name.color'.", "Did you mean 'colour'?"),
        # Two tables deep, of several kinds of tables: the key as it is written, the nearest of that table.
        ("[[steps]]\ndo = 'paint'\nheu = 1", "unknown key 'steps.0.heu'.", "Did you mean 'hue'?"),
        ("[[steps]]\ndo = 'cut'\nform = ''", "unknown key 'steps.0.form'.", "Did you mean 'from'?"),
        ("[[steps]]\ndo = 'paint'\nbrash = 1", "unknown key 'steps.0.brash'.", "Did you mean 'brush'?"),
        (
            "[[steps]]\ndo = 'paint'\n[steps.brush]\nhieght = 1",
            "unknown key 'steps.0.brush.hieght'.",
            "Did you mean 'height'?",
        ),
        (
            "[[steps]]\ndo = 'cut'\n[steps.paint]\ncolr = 1",
            "unknown key 'steps.0.paint.colr'.",
            "Did you mean 'colour'?",
        ),
        ("[step]\ndo = 'cut'\n[step.paint]\ncolr = 1", "unknown key 'step.paint.colr'.", "Did you mean 'colour'?"),
        ("name = 'a'\n[[steps]]\ndo = 'cut'", "the key 'steps.0.paint' is missing.", ""),
        ("name = 'a'\n[word]\nheight = 1\ncolor = ''", "unknown key 'word.color'.", "Did you mean 'colour'?"),
        ("", "the key 'name' is missing.", ""),
        ("name = 'a'\n[size]", "the key 'size.height' is missing.", ""),
        ("name = 1", "'name': input should be a valid string, not 1.", ""),
        ("name = 'a'\n[size]\nheight = 'tall'", "'size.height': input should be a valid integer, unable", ""),
        ("name = 'forbidden'", "this name is taken.", ""),
    ],
)
def test_the_key_and_what_is_wrong_with_it(tmp_path: Path, text: str, message: str, hint: str) -> None:
    said, advice = refused(text, tmp_path)
    assert said.startswith(f"a.toml: {message}")
    assert advice == hint


def test_a_long_value_is_not_repeated_at_length(tmp_path: Path) -> None:
    said, _ = refused(f"name = 'a'\nsize = '{'x' * 5000}'", tmp_path)
    assert len(said) < 300


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*none\.toml"):
        toml.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"a = ", "is not valid TOML"), (b"a = 1\na = 2", "is not valid TOML"), (b"\xff\xfe", "cannot be read")],
    ids=["cut off", "twice", "no text"],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"a.toml {told}"):
        toml.load(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        toml.load(tmp_path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\n")  # Windows' Notepad writes one
    assert toml.load(tmp_path / "a.toml") == {"a": 1}


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=10), max_size=5))
def test_the_nearest_match_is_a_known_word_or_nothing(word: str, known: list[str]) -> None:
    said = toml.nearest(word, known)
    assert said == "" or any(said == f"Did you mean '{name}'?" for name in known)


def test_a_known_word_in_another_case_is_nearest() -> None:
    assert toml.nearest("RASPBERRY", ["raspberry", "jetson"]) == "Did you mean 'raspberry'?"
    assert toml.nearest("android", ["raspberry", "jetson"]) == ""
