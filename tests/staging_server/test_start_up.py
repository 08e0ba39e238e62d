"""What is checked before the server listens, and said in a sentence."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from staging_protocol.errors import InvalidRequest, NoSpace
from staging_server.parts import check_storage, open_server_parts, pod_endpoint
from staging_server.serving import running
from staging_server.settings import Settings, StorageSettings, check_environment


def test_a_folder_without_a_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"storage\.folder: .*missing does not exist"):
        check_storage(StorageSettings(folder=tmp_path / "missing" / "data"))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InvalidRequest, match="is not writable for user"):
        check_storage(StorageSettings(folder=tmp_path / "file"))


async def test_a_server_whose_image_cannot_ask_kubernetes_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)  # how Python says that it is not there
    settings = Settings.model_validate(
        {
            "storage": {"folder": tmp_path}, "port": 0,
            "auth": {"mode": "kubernetes"}, "kubernetes": {"connect": "in-cluster"},
        }
    )  # fmt: skip
    with pytest.raises(
        InvalidRequest, match=r"connect=in-cluster needs the Python package kubernetes.*staging\[server"
    ):
        async with running(settings):
            raise AssertionError


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.s3fs"])
def test_sqlite_on_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n"
    with pytest.raises(InvalidRequest, match=f"network file system \\({kind}\\)"):
        check_storage(StorageSettings(folder=tmp_path / "data"), mounts=mounts)


def test_a_mount_with_spaces_in_its_name_is_understood(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path}/my\\040data nfs rw 0 0\n"
    with pytest.raises(InvalidRequest, match="network"):
        check_storage(StorageSettings(folder=folder), mounts=mounts)


def test_a_local_disk_below_a_network_mount_is_fine(tmp_path: Path) -> None:
    mounts = f"server:/x / nfs rw 0 0\n/dev/vda {tmp_path} ext4 rw 0 0\n"
    check_storage(StorageSettings(folder=tmp_path / "data"), mounts=mounts)


async def test_a_server_above_its_high_water_mark_starts_because_pods_have_to_read(tmp_path: Path) -> None:
    settings = Settings.model_validate({"storage": {"folder": tmp_path}, "limits": {"disk_high_water": 0.000_000_1}})
    async with open_server_parts(settings) as parts:
        with pytest.raises(NoSpace):
            await parts.uploads.check_room(1)


async def test_the_data_folder_is_made(tmp_path: Path) -> None:
    settings = Settings(storage=StorageSettings(folder=tmp_path / "data"))
    async with open_server_parts(settings) as parts:
        assert (await parts.overview.usage(None)).blobs == 0


def test_pods_get_the_url_of_the_settings_or_of_the_listener() -> None:
    assert pod_endpoint(Settings(host="::1")).url == "http://[::1]:8480"
    assert pod_endpoint(Settings(pod_url="https://staging.svc")).url == "https://staging.svc"


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="pod_ca_file"):
        pod_endpoint(Settings(pod_ca_file=tmp_path / "missing"))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_STAGING_SERVER_PORT", "1234")
    monkeypatch.setenv("SPARK_STAGING_SERVER_LIMITS__FILE_SIZE", "10")
    settings = Settings()
    assert (settings.port, settings.limits.file_size) == (1234, 10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": {"mode": "tokens"}},
        {"limits": {"file_sizes": 1}},
        {"retention": {"time_to_live": 10**8}},
        {"port": 70_000},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)


def test_each_setting_is_documented() -> None:
    for name, group in Settings.model_fields.items():
        fields = getattr(group.annotation, "model_fields", None) or {name: group}
        assert not [field for field, info in fields.items() if not info.description], name


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("DATA_FOLDER", "STORAGE__FOLDER"),
        ("storage__foldre", "STORAGE__FOLDER"),
        ("POD_URI", "POD_URL"),
        ("AUTH_MODE", "AUTH__MODE"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant(
    misspelt: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"SPARK_STAGING_SERVER_{misspelt}"
    monkeypatch.setenv(name, "x")
    with pytest.raises(InvalidRequest) as refused:
        check_environment()
    assert refused.value.detail == f"{name} is not a setting; did you mean SPARK_STAGING_SERVER_{meant}?"


def test_what_kubernetes_sets_for_services_is_no_misspelt_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_8480_TCP", "PORT_8480_TCP_ADDR", "METRICS_PORT",
        "METRICS_SERVICE_HOST", "METRICS_PORT_9000_TCP_PROTO",
    ]  # fmt: skip
    for name in names:
        monkeypatch.setenv(f"SPARK_STAGING_SERVER_{name}", "tcp://10.0.0.1:8480")
    monkeypatch.setenv("SPARK_STAGING_URL", "http://a")
    monkeypatch.setenv("SPARK_STAGING_SERVER_LOGS", "{}")
    check_environment()
    monkeypatch.setenv("SPARK_STAGING_SERVER_PORT", "tcp://10.0.0.1:8480")
    with pytest.raises(InvalidRequest, match="enableServiceLinks: false"):
        check_environment()
