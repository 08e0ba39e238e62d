"""No file name escapes its folder."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import InvalidRequest
from staging_protocol.filenames import FileName
from tests.staging_protocol.strategies import file_names

_HOSTILE = st.text(st.sampled_from("./\\a\0~%2e \n\u2028\ud800"), max_size=12)


@given(st.text(max_size=300) | _HOSTILE)
def test_a_name_lies_directly_in_its_folder_or_is_refused(text: str) -> None:
    try:
        name = FileName(text)
    except InvalidRequest:
        return
    assert (PurePosixPath("/folder") / name).parent == PurePosixPath("/folder")
    assert (PurePosixPath("/folder") / name).name == text


@given(file_names)
def test_a_name_can_be_a_file(tmp_path_factory: pytest.TempPathFactory, name: FileName) -> None:
    folder = tmp_path_factory.mktemp("names")
    Path(folder, name).write_bytes(b"x")
    assert [entry.name for entry in folder.iterdir()] == [name]


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a/b", "/a", "a\\b", "a\0", "a\n", " a", "a ", "é" * 128, "\ud800", "a\u202eb"]
)
def test_names_that_no_folder_should_have_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        FileName(text)


@pytest.mark.parametrize(("one", "other"), [("App.jar", "app.JAR"), ("é.jar", "e\u0301.jar"), ("straße", "STRASSE")])
def test_names_that_some_file_systems_confuse_collide(one: str, other: str) -> None:
    assert FileName(one).collision_key == FileName(other).collision_key
