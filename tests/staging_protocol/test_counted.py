from staging_protocol.counted import counted


def test_one_is_not_several() -> None:
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
