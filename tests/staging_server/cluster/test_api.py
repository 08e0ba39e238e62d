"""Calls to the Kubernetes API: their deadlines, and how everything that can fail is told."""

import asyncio
import socket
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
import trustme
import yaml
from aiohttp import web

from staging_protocol.errors import Denied, InternalError, NotFound, StagingError, Unauthenticated, Unavailable
from staging_server.cluster import api as api_module
from staging_server.cluster.api import ListAgain, open_cluster_api
from staging_server.cluster.objects import Event, Item, Page
from staging_server.settings import Connect, KubernetesSettings
from staging_server.tenants import Tenant
from tests.staging_server.cluster.fake_api import api_of, refusal
from tests.staging_server.cluster.lab import Lab, kubeconfig_for

_PATH = "/api/v1/pods"


class _Review(msgspec.Struct):
    status: dict[str, object]


async def test_objects_are_read_and_reviews_made(lab: Lab, tenant: Tenant) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}}
    async with open_cluster_api(lab.settings()) as api:
        namespace = await api.get(f"/api/v1/namespaces/{tenant.namespace}", into=Item)
        assert namespace.metadata.uid == tenant.uid
        answer = await api.post("/apis/authentication.k8s.io/v1/tokenreviews", review, into=_Review)
        assert "authenticated" not in answer.status


async def test_what_is_not_there_and_what_is_not_allowed_are_told_apart(lab: Lab, tenant: Tenant) -> None:
    async with open_cluster_api(lab.settings()) as api:
        with pytest.raises(NotFound, match='"nothing" not found'):
            await api.get("/api/v1/namespaces/nothing", into=Item)
    async with open_cluster_api(lab.settings(kubeconfig=lab.kube.stranger)) as api:
        with pytest.raises(Denied, match='cannot list resource "pods" in API group "" in the namespace'):
            await api.get(f"/api/v1/namespaces/{tenant.namespace}/pods", into=Page)


async def test_credentials_that_do_not_hold_are_told(lab: Lab) -> None:
    nobody = yaml.safe_load(lab.kube.stranger.read_text())
    nobody["users"][0]["user"]["token"] = "nonsense"
    path = lab.folder / "nobody"
    path.write_text(yaml.safe_dump(nobody))
    async with open_cluster_api(lab.settings(kubeconfig=path)) as api:
        with pytest.raises(Unauthenticated):
            await api.get(_PATH, into=Page)


async def test_an_api_server_whose_certificate_is_not_trusted_gets_no_credentials(lab: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    content = yaml.safe_load(lab.kube.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["certificate-authority"] = str(other)
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    async with open_cluster_api(lab.settings(kubeconfig=path)) as api:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await api.get(_PATH, into=Page)


async def test_the_second_page_of_a_list_that_etcd_has_forgotten_is_told(lab: Lab, tenant: Tenant) -> None:
    for name in ("one", "two"):
        lab.make_pod(tenant, name)
    path = f"/api/v1/namespaces/{tenant.namespace}/pods"
    async with open_cluster_api(lab.settings()) as api:
        page = await api.get(path, into=Page, query={"limit": 1})
        lab.delete_pod(tenant, "two")
        lab.server.compact()
        with pytest.raises(ListAgain):
            await api.get(path, into=Page, query={"limit": 1, "continue": page.metadata.next_page})


async def test_a_watch_hears_a_bookmark_where_others_have_events(lab: Lab, tenant: Tenant) -> None:
    async with open_cluster_api(lab.settings(watch_timeout=5)) as api:
        page = await api.get(_PATH, into=Page, query={"labelSelector": "color=red"})
        query = {
            "labelSelector": "color=red",
            "allowWatchBookmarks": "true",
            "resourceVersion": page.metadata.resource_version,
        }
        async with aclosing(api.watch(_PATH, query=query)) as lines:
            assert await anext(lines) == b""
            lab.make_pod(tenant, "blue")
            # One comes two seconds before the end, if something has happened.
            event = msgspec.json.decode(await anext(lines), type=Event)
    assert event.type == "BOOKMARK"
    bookmark = msgspec.json.decode(event.object, type=Item)
    assert int(bookmark.metadata.resource_version) > int(page.metadata.resource_version)


async def test_nobody_who_listens_is_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    kubeconfig = kubeconfig_for(url, tmp_path, token="x")
    async with open_cluster_api(KubernetesSettings(connect=Connect.KUBECONFIG, kubeconfig=kubeconfig)) as api:
        with pytest.raises(Unavailable):
            await api.get(_PATH, into=Page)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InternalError), (408, Unavailable), (409, InternalError), (410, ListAgain), (422, InternalError),
     (429, Unavailable), (500, Unavailable), (503, Unavailable), (504, Unavailable)],
)  # fmt: skip
async def test_every_refusal_has_its_error(tmp_path: Path, status: int, error: type[Exception]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return refusal(status, message="sst_secret", **{"Retry-After": "7"})

    async with api_of(answer, tmp_path) as api:
        for call in (api.get(_PATH, into=Page), api.post(_PATH, {}, into=Page), anext(api.watch(_PATH, query={}))):
            with pytest.raises(error) as raised:
                await call
            if isinstance(raised.value, StagingError):
                assert "sst_secret" not in raised.value.detail  # what was sent is not repeated
            if isinstance(raised.value, Unavailable):
                assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    "body", [b"", b"<html>bad gateway</html>", b'{"items": 7}', b'{"metadata": {}, "items": [{}]}']
)
async def test_an_answer_that_is_none_is_unavailable(tmp_path: Path, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with api_of(answer, tmp_path) as api:
        with pytest.raises(Unavailable, match="an answer that is none"):
            await api.get(_PATH, into=Page)


async def test_a_refusal_by_somebody_on_the_way_is_told(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=403, body=b"<html>no</html>")

    async with api_of(answer, tmp_path) as api:
        with pytest.raises(Denied, match="403"):
            await api.get(_PATH, into=Page)


async def test_an_api_server_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "_SPEAKS_LATE", 0.1)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if "watch" in request.query:
            await response.prepare(request)
        await asyncio.get_running_loop().create_future()
        return response

    async with api_of(answer, tmp_path, request_timeout=0.1, watch_timeout=1) as api:
        with pytest.raises(Unavailable):
            await api.get(_PATH, into=Page)
        lines = api.watch(_PATH, query={})
        assert await anext(lines) == b""
        with pytest.raises(Unavailable):
            await anext(lines)


async def test_both_sides_have_a_deadline(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response({"metadata": {}})

    async with api_of(answer, tmp_path, request_timeout=11, watch_timeout=22) as api:
        await api.get(_PATH, into=Page)
        assert [line async for line in api.watch(_PATH, query={"resourceVersion": "5"})] == [b""]
    assert asked == [f"{_PATH}?timeoutSeconds=11", f"{_PATH}?watch=1&timeoutSeconds=22&resourceVersion=5"]


async def test_lines_come_whole_and_one_that_was_cut_off_does_not(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"one\ntw", b"o\n", b"thr"):
            await response.write(piece)
            await asyncio.sleep(0)
        return response

    async with api_of(answer, tmp_path) as api:
        assert [line async for line in api.watch(_PATH, query={})] == [b"", b"one", b"two"]


async def test_a_line_without_end_is_not_kept_in_memory(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1_000_000))

    async with api_of(answer, tmp_path) as api:
        with pytest.raises(Unavailable, match="longer than any object"):
            async for _ in api.watch(_PATH, query={}):
                pass


async def test_a_token_that_was_renewed_is_read_again_after_a_refusal(tmp_path: Path) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        token = request.headers["Authorization"]
        seen.append(token)
        return web.json_response({"metadata": {}}) if token == "Bearer second" else refusal(401)

    async with api_of(answer, tmp_path) as api:
        with pytest.raises(Unauthenticated):
            await api.get(_PATH, into=Page)
        _renew(tmp_path)
        api._credentials._loaded -= 10  # it is looked at again every ten seconds at most
        await api.get(_PATH, into=Page)
        await api.get(_PATH, into=Page)
    assert seen == ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]


def _renew(folder: Path) -> None:
    (kubeconfig,) = folder.glob("for-*")
    kubeconfig.write_text(kubeconfig.read_text().replace("first", "second"))
