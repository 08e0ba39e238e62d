"""Each kind of dependency reaches Spark in the way that was found to work on a cluster."""

import pytest

from staging_protocol.errors import InvalidRequest
from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import FilesIn
from submission.classify import Classified, Dependency, classify, main_dependency, named
from submission.spark.client_conf import deliver_client
from submission.spark.conf import Delivery, SparkVersion, deliver

SPARK_3, SPARK_4 = SparkVersion(3, 5), SparkVersion(4, 3)
AVOID = "spark.kubernetes.jars.avoidDownloadSchemes"
DRIVER_PATH, EXECUTOR_PATH = "spark.kubernetes.driverEnv.PYTHONPATH", "spark.executorEnv.PYTHONPATH"


def job(
    main: str | None = None,
    *,
    jars: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    py_files: tuple[str, ...] = (),
    archives: tuple[str, ...] = (),
) -> Classified:
    found: list[Dependency] = [
        *named(Kind.JAR, jars, by="--jars"),
        *named(Kind.FILE, files, by="--files"),
        *named(Kind.PYFILE, py_files, by="--py-files"),
        *named(Kind.ARCHIVE, archives, by="--archives"),
    ]
    return classify([*found, *([main_dependency(main)] if main else [])])


def in_cluster(
    classified: Classified,
    *,
    spark: SparkVersion = SPARK_4,
    spark_files: bool = True,
    properties: dict[str, str] | None = None,
) -> Delivery:
    return deliver(
        classified, size_of=lambda _: 1000, properties=properties or {}, spark=spark, spark_files=spark_files
    )


def outside(
    classified: Classified,
    *,
    spark_files: bool = True,
    class_path: str | None = None,
    properties: dict[str, str] | None = None,
) -> Delivery:
    return deliver_client(
        classified,
        size_of=lambda _: 1000,
        properties=properties or {},
        driver_class_path=class_path,
        spark_files=spark_files,
    )


@pytest.mark.parametrize("spark", [SPARK_3, SPARK_4])
def test_jars_are_read_from_each_pods_own_disk_in_their_order(spark: SparkVersion) -> None:
    told = in_cluster(job("app.jar", jars=("b.jar", "https://h/a.jar", "local:///opt/c.jar")), spark=spark)

    folder = "local:///var/spark-data/spark-jars"
    assert told.properties["spark.jars"] == f"{folder}/b.jar,{folder}/a.jar,local:///opt/c.jar"
    assert told.properties[AVOID] == "local"
    assert told.main == f"{folder}/app.jar"


def test_a_users_own_schemes_are_kept_beside_ours() -> None:
    assert in_cluster(job(jars=("a.jar",)), properties={AVOID: "http,https"}).properties[AVOID] == "local,http,https"
    assert in_cluster(job(jars=("a.jar",)), properties={AVOID: "http,local"}).properties[AVOID] == "http,local"


def test_a_name_with_a_space_is_percent_encoded_in_uris() -> None:
    told = in_cluster(job("my app.jar", jars=("my lib.jar",)))

    assert told.main == "local:///var/spark-data/spark-jars/my%20app.jar"
    assert told.properties["spark.jars"] == "local:///var/spark-data/spark-jars/my%20lib.jar"


def test_python_files_go_by_pythonpath_and_never_by_spark() -> None:
    told = in_cluster(
        job("main.py", py_files=("m.py", "z.zip", "e.egg", "w.whl", "local:///opt/in/x.py", "local:///opt/y.zip")),
        properties={EXECUTOR_PATH: "/mine"},
    )

    folder = "/var/spark-data/spark-pyfiles"
    expected = f"{folder}:{folder}/z.zip:{folder}/e.egg:{folder}/w.whl:/opt/in:/opt/y.zip"
    assert told.properties[DRIVER_PATH] == expected
    assert told.properties[EXECUTOR_PATH] == f"{expected}:/mine"
    assert "spark.submit.pyFiles" not in told.properties
    assert told.main == f"local://{folder}/main.py"


def test_archives_are_never_passed_to_spark() -> None:
    assert in_cluster(job(archives=("e.tar.gz#env",))).properties == {}


def test_an_archive_in_the_image_is_passed_on_and_warned_about() -> None:
    told = in_cluster(job(archives=("local:///opt/e.tar.gz#env",)))

    assert told.properties["spark.archives"] == "local:///opt/e.tar.gz#env"
    assert "ignores archives" in told.notes[0]


def test_files_are_passed_to_spark_4_and_the_bytes_from_the_driver_are_told() -> None:
    told = in_cluster(job("app.jar", files=("x.csv", "y.csv#z.csv")))

    folder = "local:///var/spark-data/spark-files"
    assert told.properties["spark.files"] == f"{folder}/x.csv,{folder}/z.csv"
    assert told.properties["spark.files.useFetchCache"] == "false"
    assert told.driver_files_in is FilesIn.DATA
    assert told.from_driver == 2000
    assert "2000 bytes" in told.notes[0]


def test_spark_3_fetches_no_files_from_the_driver() -> None:
    told = in_cluster(job("app.jar", files=("x.csv",)), spark=SPARK_3)

    assert told.properties["spark.files"] == "local:///var/spark-data/spark-files/x.csv"
    assert (told.from_driver, told.driver_files_in) == (0, FilesIn.DATA)
    assert "SparkFiles.get does not find files in the driver" in told.notes[0]


def test_without_spark_files_they_are_in_the_drivers_working_folder_only() -> None:
    told = in_cluster(job("app.jar", files=("x.csv", "local:///opt/y.csv")), spark_files=False)

    assert told.properties["spark.files"] == "local:///opt/y.csv"
    assert (told.from_driver, told.driver_files_in) == (0, FilesIn.WORK)


def test_a_users_own_fetch_cache_stays() -> None:
    told = in_cluster(job(files=("x.csv",)), properties={"spark.files.useFetchCache": "true"})

    assert "spark.files.useFetchCache" not in told.properties


def test_a_main_r_file_lies_where_spark_does_not_delete_it() -> None:
    told = in_cluster(job("main.R"), spark_files=False)

    assert told.main == "local:///var/spark-data/spark-files/main.R"
    assert told.driver_files_in is FilesIn.DATA
    assert "spark.files" not in told.properties


def test_jars_of_an_r_program_are_on_the_class_paths_because_spark_would_open_them_as_files() -> None:
    own = {"spark.driver.extraClassPath": "/own.jar"}
    told = in_cluster(job("main.R", jars=("a.jar", "local:///opt/b.jar")), properties=own).properties
    assert "spark.jars" not in told
    assert "spark.kubernetes.jars.avoidDownloadSchemes" not in told
    assert told["spark.executor.extraClassPath"] == "/var/spark-data/spark-jars/a.jar:/opt/b.jar"
    assert told["spark.driver.extraClassPath"] == "/var/spark-data/spark-jars/a.jar:/opt/b.jar:/own.jar"


def test_a_main_resource_in_the_image_is_left_alone() -> None:
    assert in_cluster(job("local:///opt/app.jar")).main == "local:///opt/app.jar"


def test_a_driver_outside_uses_the_original_files_and_executors_their_own() -> None:
    told = outside(
        job("build/app.jar", jars=("lib/a.jar",), files=("x.csv",), py_files=("m.py", "z.zip")),
        class_path="/mine.jar",
        properties={"spark.executor.extraClassPath": "/theirs.jar"},
    )

    jars, python = "/var/spark-data/spark-jars", "/var/spark-data/spark-pyfiles"
    assert dict(told.properties) == {
        "spark.files": "x.csv",
        "spark.files.useFetchCache": "false",
        "spark.driver.extraClassPath": "build/app.jar:lib/a.jar:/mine.jar",
        "spark.executor.extraClassPath": f"{jars}/app.jar:{jars}/a.jar:/theirs.jar",
        "spark.executorEnv.PYTHONPATH": f"{python}:{python}/z.zip",
    }
    assert told.main == "spark-internal"
    assert [str(item.uri) for item in told.driver_python] == ["m.py", "z.zip"]
    assert told.from_driver == 1000


def test_in_client_mode_what_is_remote_stays_with_spark() -> None:
    told = outside(job("main.py", jars=("https://h/a.jar",), archives=("e.tar.gz#env",)), spark_files=False)

    assert dict(told.properties) == {"spark.jars": "https://h/a.jar"}
    assert told.main == "main.py"
    assert any("left to Spark" in note for note in told.notes)
    assert any("its own copy" in note for note in told.notes)


def test_a_colon_cannot_be_on_a_class_path() -> None:
    with pytest.raises(InvalidRequest, match="colon"):
        outside(job("lib/a:b.jar"))


@pytest.mark.parametrize(
    ("text", "version"), [("4.3.0", SPARK_4), ("3.5", SPARK_3), ("4.1.0-preview2", SparkVersion(4, 1))]
)
def test_versions_are_read(text: str, version: SparkVersion) -> None:
    assert SparkVersion.parse(text) == version


@pytest.mark.parametrize("text", ["3.3.2", "4", "new", ""])
def test_unknown_and_old_versions_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        SparkVersion.parse(text)
