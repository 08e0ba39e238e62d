"""The comparison sees what differs, and nothing else."""

from tests.submission.differential.comparing import ABSENT, changes
from tests.submission.differential.differences import Difference
from tests.submission.differential.normalising import Places, normalised

PLACES = Places(words={"jobs-1": "<namespace>", "https://127.0.0.1:1": "<api-server>"})


def pod(**spec: object) -> dict[str, object]:
    return {"kind": "Pod", "metadata": {"name": "job-0123456789abcdef-driver", "namespace": "jobs-1"}, "spec": spec}


def found(stock: dict[str, object], ours: dict[str, object]) -> dict[str, tuple[object, object]]:
    pair = [normalised([one], places=PLACES) for one in (stock, ours)]
    return {change.where: (change.stock, change.ours) for change in changes(*pair)}


def test_names_ids_times_order_and_what_the_api_server_adds_do_not_count() -> None:
    stock = pod(
        dnsPolicy="ClusterFirst",
        priority=0,
        volumes=[{"name": "b", "emptyDir": {}}, {"name": "a", "secret": {"secretName": "s", "defaultMode": 420}}],
        containers=[{"name": "c", "env": [{"name": "ID", "value": f"spark-{'1' * 32}"}], "resources": {}}],
    )
    ours = pod(
        volumes=[{"name": "a", "secret": {"secretName": "s"}}, {"name": "b", "emptyDir": {}}],
        containers=[{"name": "c", "env": [{"name": "ID", "value": f"spark-{'2' * 32}"}]}],
    )
    ours["metadata"] = {"name": "job-fedcba9876543210-driver", "uid": "00000000-0000-0000-0000-000000000000"}

    assert found(stock, ours) == {}


def test_a_value_that_differs_is_found_where_it_is() -> None:
    stock = pod(containers=[{"name": "c", "args": ["a", "b"], "env": [{"name": "A", "value": "1"}]}])
    ours = pod(containers=[{"name": "c", "args": ["b", "a"], "env": [{"name": "A", "value": "2"}]}])

    assert found(stock, ours) == {
        "Pod/job-<unique>-driver:spec.containers[c].args[0]": ("a", "b"),
        "Pod/job-<unique>-driver:spec.containers[c].args[1]": ("b", "a"),
        "Pod/job-<unique>-driver:spec.containers[c].env[A].value": ("1", "2"),
    }


def test_what_is_only_on_one_side_is_found() -> None:
    assert found(pod(hostNetwork=True), pod(nodeName="n")) == {
        "Pod/job-<unique>-driver:spec.hostNetwork": (True, ABSENT),
        "Pod/job-<unique>-driver:spec.nodeName": (ABSENT, "n"),
    }


def test_an_object_that_one_side_does_not_make_is_found() -> None:
    stock = normalised([pod()], places=PLACES)

    assert [change.where for change in changes(stock, {})] == ["Pod/job-<unique>-driver"]


def test_quantities_are_compared_as_numbers() -> None:
    def limited(**limits: str) -> dict[str, object]:
        return pod(containers=[{"name": "c", "resources": {"limits": limits}}])

    assert found(limited(cpu="1500m", memory="2Gi"), limited(cpu="1.5", memory="2048Mi")) == {}
    assert len(found(limited(cpu="1500m"), limited(cpu="1"))) == 1


def test_properties_are_compared_one_by_one() -> None:
    def conf(text: str) -> dict[str, object]:
        return {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"spark.properties": text}}

    stock, ours = (
        conf("#Mon Jan 1\nspark.b=2\nspark.a=jobs-1\nspark.app.submitTime=1\n"),
        conf("spark.a=jobs-1\nspark.b=3\nspark.app.submitTime=22\n"),
    )

    assert found(stock, ours) == {"ConfigMap/c:data.spark.properties.spark.b": ("2", "3")}


def test_a_difference_explains_only_what_it_says() -> None:
    known = Difference(reason="so", where=r"Pod/.*:spec\.hostNetwork", ours=ABSENT)
    plain, networked = (normalised([one], places=PLACES) for one in (pod(a=1), pod(a=1, hostNetwork=True)))
    (change,), (other_way,) = changes(networked, plain), changes(plain, networked)

    assert known.explains(change)
    assert not known.explains(other_way)
