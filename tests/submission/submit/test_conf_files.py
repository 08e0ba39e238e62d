"""Files of the submitter that the driver gets."""

from pathlib import Path

import pytest

from staging_protocol.errors import InvalidRequest, NotFound
from submission.submit.conf_files import credentials, file_text, text_files, yaml_object


def test_of_a_folder_of_configuration_those_count_that_spark_takes(tmp_path: Path) -> None:
    for name in ("log4j2.properties", "core-site.xml", "spark-env.sh"):
        (tmp_path / name).write_text(name)
    for name in ("spark-defaults.conf", "spark.properties", "metrics.properties.template", "lib.jar", "old.zip"):
        (tmp_path / name).write_text("left out")
    (tmp_path / "latin").write_bytes(b"\xe4")
    (tmp_path / "folder").mkdir()

    found = text_files(tmp_path, properties={})

    assert found == {name: name for name in ("log4j2.properties", "core-site.xml", "spark-env.sh")}


def test_what_does_not_fit_into_a_config_map_is_left_out_the_largest_first(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 50)
    (tmp_path / "b").write_text("x" * 60)
    (tmp_path / "c").write_text("x" * 500)

    assert text_files(tmp_path, properties={"spark.kubernetes.configMap.maxSize": "100"}).keys() == {"a"}
    assert text_files(tmp_path, properties={}).keys() == {"a", "b", "c"}
    with pytest.raises(InvalidRequest, match="is a number of bytes"):
        text_files(tmp_path, properties={"spark.kubernetes.configMap.maxSize": "1m"})


@pytest.mark.parametrize("folder", [None, Path("absent")])
def test_no_folder_has_no_files(folder: Path | None) -> None:
    assert text_files(folder, properties={}) == {}


def test_credentials_come_from_files_or_from_the_property_itself(tmp_path: Path) -> None:
    prefix = "spark.kubernetes.authenticate.driver."
    (tmp_path / "ca").write_bytes(b"ca")

    found = credentials({f"{prefix}caCertFile": str(tmp_path / "ca"), f"{prefix}oauthToken": "t"})

    assert found == {"ca-cert": b"ca", "oauth-token": b"t"}
    with pytest.raises(NotFound, match="clientKeyFile"):
        credentials({f"{prefix}clientKeyFile": str(tmp_path / "absent")})
    with pytest.raises(InvalidRequest, match="not on this machine"):
        credentials({f"{prefix}clientKeyFile": "local:///key"})


def test_what_is_no_text_and_no_object_is_told_by_its_property(tmp_path: Path) -> None:
    (tmp_path / "krb5").write_bytes(b"\xff")
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "broken.yaml").write_text("{")

    with pytest.raises(InvalidRequest, match=r"\(the\.key\) is not text"):
        file_text(str(tmp_path / "krb5"), by="the.key")
    with pytest.raises(InvalidRequest, match="holds no object"):
        yaml_object(str(tmp_path / "list.yaml"), by="the.key")
    with pytest.raises(InvalidRequest, match="is not YAML"):
        yaml_object(str(tmp_path / "broken.yaml"), by="the.key")
