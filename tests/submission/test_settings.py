"""Flags win over the environment, and the environment over the file."""

from pathlib import Path

import pytest

from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import Token, TokenKind
from submission.settings import Environment, Settings, config_file, read_settings

TOKEN = Token.generate(TokenKind.ACCESS)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("CONFIG", "URL", "TOKEN", "TOKEN_FILE", "NAMESPACE"):
        monkeypatch.delenv(f"SPARK_STAGING_{name}", raising=False)


def write_file(folder: Path, text: str) -> Path:
    path = folder / "config" / "spark-staging" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    settings = read_settings()

    assert settings.url is None
    assert settings.cache_folder == tmp_path / "cache" / "spark-staging"


def test_flags_come_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path, 'url = "http://file"\nnamespace = "file"\npod_url = "http://file"\n')
    monkeypatch.setenv("SPARK_STAGING_URL", "http://environment")
    monkeypatch.setenv("SPARK_STAGING_NAMESPACE", "environment")

    settings = read_settings({"url": "http://flag", "namespace": None})

    assert (settings.url, settings.namespace, settings.pod_url) == ("http://flag", "environment", "http://file")


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text("uploads = 2\n")
    monkeypatch.setenv("SPARK_STAGING_CONFIG", str(tmp_path / "mine.toml"))

    assert read_settings().uploads == 2
    assert config_file() == tmp_path / "mine.toml"


@pytest.mark.parametrize("text", ["url = \n", 'urll = "http://x"\n', "uploads = 0\n", 'uploads = "many"\n'])
def test_a_wrong_file_is_a_plain_error(text: str, tmp_path: Path) -> None:
    write_file(tmp_path, text)

    with pytest.raises(InvalidRequest, match=r"config\.toml"):
        read_settings()


def test_a_named_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_STAGING_CONFIG", "/nowhere.toml")

    with pytest.raises(InvalidRequest, match=r"/nowhere\.toml"):
        read_settings()


def test_a_token_comes_from_a_file_or_the_environment_and_does_not_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN.text}\n")
    monkeypatch.setenv("SPARK_STAGING_TOKEN", TOKEN.text)

    for settings in (read_settings(), read_settings({"token_file": tmp_path / "token"})):
        bearer = settings.bearer()
        assert bearer is not None
        assert bearer.current() == TOKEN.text
    assert TOKEN.secret not in repr(read_settings())


def test_a_wrong_token_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_STAGING_TOKEN", f"{TOKEN.text}x")

    with pytest.raises(InvalidRequest) as caught:
        read_settings().bearer()

    assert TOKEN.secret not in str(caught.value)


def test_an_unreadable_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="absent"):
        read_settings({"token_file": tmp_path / "absent"}).bearer()


def test_every_setting_is_documented() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_child_processes_do_not_inherit_the_access_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_STAGING_TOKEN", TOKEN.text)
    monkeypatch.setenv("PYTHONPATH", "/mine")

    variables = Environment.read().variables

    assert variables["PYTHONPATH"] == "/mine"
    assert TOKEN.text not in variables.values()
