"""Single questions of requests: which tenant a namespace is, and whether a pod is there."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from staging_protocol.errors import NotFound, Unavailable
from staging_protocol.tokens import BundleId
from staging_server.cluster import pods
from staging_server.cluster.api import open_cluster_api
from staging_server.cluster.namespaces import Namespaces
from staging_server.cluster.pods import Pods, PodSight
from staging_server.settings import KubernetesSettings
from staging_server.tenants import Tenant
from tests.staging_server.cluster.fake_api import api_of, refusal
from tests.staging_server.cluster.lab import Lab, eventually, watching


def test_that_a_pod_was_there_is_believed_for_a_minute_at_most() -> None:
    assert pods._YES + pods._NO <= 60  # the second memory may take the first one's last word


async def test_a_namespace_is_the_tenant_of_its_uid(lab: Lab, tenant: Tenant) -> None:
    async with open_cluster_api(lab.settings()) as api:
        namespaces = Namespaces(api, lab.settings(cluster="here"))
        found = await namespaces.find(tenant.namespace)
        assert found == Tenant(cluster="here", namespace=tenant.namespace, uid=tenant.uid)
        with pytest.raises(NotFound, match="there is no namespace nowhere in the cluster here"):
            await namespaces.find("nowhere")
        lab.delete_namespace(tenant.namespace)
        again = lab.make_namespace(tenant.namespace)
        namespaces._recent.forget()  # as ten seconds do
        assert (await namespaces.find(tenant.namespace)).uid == again.uid


async def test_a_role_in_the_namespace_is_enough_and_without_one_nobody_is_let_in(lab: Lab, tenant: Tenant) -> None:
    other = lab.make_namespace()
    kubeconfig = lab.kubeconfig_of(tenant, "staging")
    lab.grant(tenant, "staging", [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}])
    async with open_cluster_api(lab.settings(kubeconfig=kubeconfig)) as api:
        namespaces = Namespaces(api, lab.settings(namespaces=(tenant.namespace, other.namespace)))
        assert (await namespaces.find(tenant.namespace)).uid == tenant.uid
        with pytest.raises(Unavailable, match="its log says why"):
            await namespaces.find(other.namespace)
        with pytest.raises(NotFound, match="does not serve the namespace default"):
            await namespaces.find("default")


class _Door:
    """Answers once it is opened, and counts who came."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.opened = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.came.append(request.path)
        await self.opened.wait()
        name = request.path.rpartition("/")[2]
        if name.startswith("no"):
            return refusal(404)
        return web.json_response({"metadata": {"name": name, "uid": f"uid of {name}"}, "status": {"phase": "Running"}})


async def test_those_who_ask_at_once_share_one_question_and_a_no_is_remembered_too(tmp_path: Path) -> None:
    door = _Door()
    async with api_of(door.answer, tmp_path) as api:
        namespaces = Namespaces(api, KubernetesSettings())
        asked = [asyncio.create_task(namespaces.find("team")) for _ in range(50)]
        await eventually(lambda: bool(door.came))
        door.opened.set()
        assert {tenant.uid for tenant in await asyncio.gather(*asked)} == {"uid of team"}
        for _ in range(3):
            with pytest.raises(NotFound):
                await namespaces.find("nobody")
        assert door.came == ["/api/v1/namespaces/team", "/api/v1/namespaces/nobody"]


async def test_only_some_namespaces_are_looked_for_at_once(tmp_path: Path) -> None:
    door = _Door()
    async with api_of(door.answer, tmp_path) as api:
        namespaces = Namespaces(api, KubernetesSettings())
        asked = [asyncio.create_task(namespaces.find(f"team-{number}")) for number in range(32)]
        await eventually(lambda: len(door.came) == 32)
        with pytest.raises(Unavailable, match="come back soon"):
            await namespaces.find("team-33")
        door.opened.set()
        await asyncio.gather(*asked)
        assert (await namespaces.find("team-33")).uid == "uid of team-33"


async def test_an_api_server_that_fails_lets_nobody_in_and_is_asked_again(tmp_path: Path) -> None:
    answers = [refusal(503), refusal(403), web.json_response({"metadata": {"uid": "1"}})]

    async def answer(_: web.Request) -> web.Response:
        return answers.pop(0)

    async with api_of(answer, tmp_path) as api:
        namespaces = Namespaces(api, KubernetesSettings())
        for _ in range(2):
            with pytest.raises(Unavailable):
                await namespaces.find("team")
        assert (await namespaces.find("team")).uid == "1"


async def test_a_pod_is_found_with_its_bundle_and_its_life(lab: Lab, tenant: Tenant) -> None:
    bundle = BundleId.generate()
    uid = lab.make_pod(tenant, "driver", bundle=bundle)
    lab.make_pod(tenant, "over")
    lab.set_phase(tenant, "over", "Succeeded")
    async with open_cluster_api(lab.settings()) as api:
        pods = Pods(api)
        driver = PodSight(namespace=tenant.namespace, name="driver", uid=uid, bundle=bundle, alive=True)
        assert await pods.find_pod(tenant.namespace, "driver") == driver
        over = await pods.find_pod(tenant.namespace, "over")
        assert over is not None
        assert (over.bundle, over.alive) == (None, False)
        assert await pods.find_pod(tenant.namespace, "nothing") is None
        lab.delete_pod(tenant, "driver")
        second = lab.make_pod(tenant, "driver", bundle=bundle)
        assert await pods.find_pod(tenant.namespace, "driver", uid=uid) == await pods.find_pod(
            tenant.namespace, "driver", uid=second
        )


async def test_a_pod_that_a_watch_knows_is_not_asked_for(lab: Lab, tenant: Tenant, tmp_path: Path) -> None:
    uid = lab.make_pod(tenant, "driver", bundle=BundleId.generate())
    door = _Door()
    door.opened.set()
    async with watching(lab) as sights, api_of(door.answer, tmp_path) as api:
        pods = Pods(api, known=sights)
        await eventually(lambda: sights.find_pod(tenant.namespace, "driver") is not None)
        found = await pods.find_pod(tenant.namespace, "driver", uid=uid)
        assert found is not None
        assert found.uid == uid
        assert door.came == []
        other = await pods.find_pod(tenant.namespace, "driver", uid="another")
        assert other is not None
        assert other.uid == "uid of driver"
        assert door.came == [f"/api/v1/namespaces/{tenant.namespace}/pods/driver"]


async def test_a_pod_is_asked_for_once_by_all_who_want_it(tmp_path: Path) -> None:
    door = _Door()
    async with api_of(door.answer, tmp_path) as api:
        pods = Pods(api)
        asked = [asyncio.create_task(pods.find_pod("team", "driver")) for _ in range(50)]
        await eventually(lambda: bool(door.came))
        door.opened.set()
        assert all(await asyncio.gather(*asked))
        for _ in range(3):
            assert await pods.find_pod("team", "nothing") is None
            assert await pods.find_pod("team", "driver") is not None
        assert len(door.came) == 2


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_a_pod_of_which_nobody_tells_is_unavailable(tmp_path: Path, status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return refusal(status)

    async with api_of(answer, tmp_path) as api:
        with pytest.raises(Unavailable):
            await Pods(api).find_pod("team", "driver")
