"""Ours creates what stock spark-submit creates, but for the differences in one list."""

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from staging_protocol.errors import StagingError
from submission.kube.api import KubeApi as OurKubeApi
from submission.kube.connect import kube_api
from submission.submit.creating import create
from submission.submit.undoing import Made
from tests.conftest import missing
from tests.services.kube_api import KubeApi, KubeApiMissingError
from tests.services.spark_distributions import SPARK_VERSIONS, SparkMissingError, install_spark
from tests.submission.differential.cases import CASES, Case
from tests.submission.differential.comparing import Change, changes
from tests.submission.differential.differences import DIFFERENCES
from tests.submission.differential.golden import FOLDER, REFUSED, path_of, record, recorded
from tests.submission.differential.normalising import Objects, normalised
from tests.submission.differential.ours import job_of, laid_out, made_by_ours, planned
from tests.submission.differential.stock import World, places_of

ALL: Final = [(case, version) for case in CASES for version in case.versions]
BY_NAME: Final = {case.name: case for case in CASES}
IDS: Final = [f"{version}-{case.name}" for case, version in ALL]
LIVE: Final = (("java-staged", "3.5.9"), ("python-staged", "4.3.0"), ("templates-and-settings", "4.3.0"))
"""What the real spark-submit is asked in every run, a JVM's start each; `make golden` asks it everything."""


@pytest.fixture(scope="session")
def world(kube: KubeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The API server with what submissions need."""
    try:
        with closing(World(kube, folder=tmp_path_factory.mktemp("world"))) as made:
            yield made
    except KubeApiMissingError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def api(world: World) -> Iterator[OurKubeApi]:
    """Our own client of it."""
    with kube_api(kubeconfig=str(world.kubeconfig), context=None, master=None) as made:
        yield made


def unexplained(found: list[Change]) -> list[str]:
    return [str(change) for change in found if not any(known.explains(change) for known in DIFFERENCES)]


@cache
def ours_or_refusal(name: str, version: str) -> Objects:
    """What ours makes, in the shape of a golden file."""
    try:
        return made_by_ours(BY_NAME[name], version=version)
    except StagingError as error:
        return {REFUSED: error.detail}


@pytest.mark.parametrize(("case", "version"), ALL, ids=IDS)
def test_ours_is_what_stock_spark_made(case: Case, version: str) -> None:
    stock, ours = recorded(case, version=version), ours_or_refusal(case.name, version)

    assert (REFUSED in stock) == (REFUSED in ours), (stock.get(REFUSED), ours.get(REFUSED))
    if REFUSED not in stock:
        assert unexplained(list(changes(stock, ours))) == []


def test_every_difference_in_the_list_is_still_there() -> None:
    found = []
    for case, version in ALL:
        stock = recorded(case, version=version)
        if REFUSED not in stock:
            found += list(changes(stock, ours_or_refusal(case.name, version)))

    assert [known.where for known in DIFFERENCES if not any(known.explains(change) for change in found)] == []


def test_there_is_no_golden_file_without_its_case() -> None:
    files = {path.relative_to(FOLDER) for path in FOLDER.rglob("*.yaml")}

    assert files == {path_of(case, version=version).relative_to(FOLDER) for case, version in ALL}


@pytest.mark.services
@pytest.mark.parametrize("version", SPARK_VERSIONS)
def test_the_api_server_takes_ours_and_gives_back_what_stock_spark_made(
    version: str, world: World, api: OurKubeApi
) -> None:
    found: dict[str, Any] = {}
    for case in CASES:
        if version in case.versions and REFUSED not in recorded(case, version=version):
            made = _created(case, version=version, world=world, api=api)
            every = list(changes(recorded(case, version=version), made))
            # Absent owners are explained where objects are only planned; here they have them.
            without = [change for change in every if "metadata.ownerReferences" in change.where]
            found[case.name] = [*unexplained(every), *without]

    assert {name: changed for name, changed in found.items() if changed} == {}


@pytest.mark.services
@pytest.mark.parametrize(("name", "version"), LIVE)
def test_a_golden_file_is_what_the_real_spark_submit_makes(
    name: str, version: str, world: World, tmp_path: Path
) -> None:
    try:
        spark = install_spark(version)
    except SparkMissingError as error:
        missing(str(error))
    case = BY_NAME[name]

    assert record(case, spark=spark, world=world, folder=tmp_path) == recorded(case, version=version)


def _created(case: Case, *, version: str, world: World, api: OurKubeApi) -> Objects:
    """What is there after ours was created, and is deleted again."""
    with world.kube.namespace() as namespace, laid_out(case) as folder:
        job = job_of(case, version=version, api=world.kube.url, namespace=namespace)
        made = Made(job.identity, namespace=namespace, say=lambda _: None)
        create(planned(job), api=api, identity=job.identity, made=made, say=lambda _: None)
        places = places_of(namespace=namespace, api=world.kube.url, folder=folder)
        return normalised(world.objects(namespace), places=places)
