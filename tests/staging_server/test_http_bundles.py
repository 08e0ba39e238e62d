"""The main path over HTTP: create, upload, seal, read; and what owners do with bundles."""

from pathlib import Path

from tests.staging_server.live import digest_of, live_server, new_file


async def test_a_file_is_staged_and_read_back(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(b"content"))
        assert made["files"] == ["wanted"]
        assert (await live.put(b"content")).status == 201

        root = f"/v1/namespaces/team-a/bundles/{made['id']}"
        assert (await live.call("POST", f"{root}/seal")).json["manifest_digest"] == made["manifest_digest"]
        manifest = await live.call("GET", f"{root}/manifest", token=made["token"])
        assert manifest.json["entries"][0]["digest"] == digest_of(b"content")
        assert digest_of(manifest.body) == made["manifest_digest"]
        answer = await live.call("GET", f"{root}/files/jar/a.jar", token=made["token"])
        assert (answer.status, answer.body) == (200, b"content")


async def test_create_says_where_the_bundle_is(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        answer = await live.call("POST", "/v1/namespaces/team-a/bundles", body={"application": "job"})
        assert answer.status == 201
        assert (await live.call("GET", answer.headers["Location"])).json["id"] == answer.json["id"]


async def test_an_unchanged_bundle_is_sealed_by_its_create(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.staged(b"content")
        again = await live.create(new_file(b"content"))
        assert (again["files"], again["sealed"]) == (["held"], True)


async def test_a_blob_that_is_held_is_not_read_again(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.staged(b"content")
        await live.create(new_file(b"content"), new_file(b"other", name="b.jar"))
        assert (await live.put(b"content")).status == 204


async def test_a_repeated_create_gives_the_same_bundle_with_a_new_token(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        path, key = "/v1/namespaces/team-a/bundles", {"Idempotency-Key": "once"}
        first = await live.call("POST", path, body={"application": "job"}, headers=key)
        second = await live.call("POST", path, body={"application": "job"}, headers=key)
        assert first.json["id"] == second.json["id"]
        assert first.json["token"] != second.json["token"]
        other = await live.call("POST", path, body={"application": "another"}, headers=key)
        assert (other.status, other.json["code"]) == (422, "idempotency-mismatch")
        bad = await live.call("POST", path, body={"application": "job"}, headers={"Idempotency-Key": "k" * 256})
        assert (bad.status, bad.json["code"]) == (400, "invalid-request")


async def test_sealing_lists_what_is_missing(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(b"content"))
        answer = await live.call("POST", f"/v1/namespaces/team-a/bundles/{made['id']}/seal")
        assert (answer.status, answer.json["code"]) == (409, "files-missing")
        assert any("a.jar" in one for one in answer.json["missing"])


async def test_wrong_bytes_are_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(b"content"))
        path = f"/v1/namespaces/team-a/blobs/{digest_of(b'content')}"
        answer = await live.call("PUT", path, data=b"cOntent", headers={"Content-Type": "application/octet-stream"})
        assert (answer.status, answer.json["code"]) == (422, "digest-mismatch")


async def test_owners_hold_and_end_their_bundles(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged()
        root = f"/v1/namespaces/team-a/bundles/{made['id']}"
        owner = {"api_version": "v1", "kind": "Pod", "name": "driver"}
        assert (await live.call("PUT", f"{root}/owner", body=owner)).json["owner"]["name"] == "driver"
        assert (await live.call("PUT", f"{root}/owner", body={**owner, "kind": "Service"})).status == 400
        assert "lease_until" in (await live.call("PUT", f"{root}/lease", body={"seconds": 60})).json
        assert (await live.call("PUT", f"{root}/pin", body={"reason": "audit"})).json["pin"]["reason"] == "audit"
        explained = await live.call("GET", f"{root}/explain")
        assert "pin" in {claim["kind"] for claim in explained.json["claims"] if claim["holds"]}
        assert "pin" not in (await live.call("DELETE", f"{root}/pin")).json
        assert (await live.call("DELETE", root)).status == 204
        assert (await live.call("GET", f"{root}/manifest", token=made["token"])).status == 410


async def test_a_new_token_opens_the_bundle_as_well(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged()
        root = f"/v1/namespaces/team-a/bundles/{made['id']}"
        renewed = (await live.call("POST", f"{root}/token")).json["token"]
        assert renewed != made["token"]
        for token in (renewed, made["token"]):
            assert (await live.call("GET", f"{root}/manifest", token=token)).status == 200


async def test_a_pods_report_is_shown_by_explain(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged()
        root = f"/v1/namespaces/team-a/bundles/{made['id']}"
        report = {"outcome": "succeeded", "role": "driver", "pod": "p", "exit_code": 0, "seconds": 1.5, "files": 1}
        assert (await live.call("POST", f"{root}/reports", body=report, token=made["token"])).status == 204
        explained = await live.call("GET", f"{root}/explain")
        assert explained.json["reports"][0]["report"]["pod"] == "p"


async def test_lists_are_paged_by_cursor(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = {(await live.create(application=f"job-{number}"))["id"] for number in range(3)}
        elsewhere = (await live.create(namespace="team-b"))["id"]
        seen: list[str] = []
        path = "/v1/namespaces/team-a/bundles?limit=2"
        page = (await live.call("GET", path)).json
        seen += [one["id"] for one in page["bundles"]]
        assert len(seen) == 2
        page = (await live.call("GET", f"{path}&cursor={page['next']}")).json
        seen += [one["id"] for one in page["bundles"]]
        assert "next" not in page
        assert set(seen) == made
        everywhere = (await live.call("GET", "/v1/bundles")).json["bundles"]
        assert {one["id"] for one in everywhere} == made | {elsewhere}


async def test_lists_refuse_filters_that_mean_nothing(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        for query in ("limit=0", "limit=-1", "limit=x", "limit=99999999999", "state=asleep", "cursor=%00"):
            answer = await live.call("GET", f"/v1/bundles?{query}")
            assert (answer.status, answer.json["code"]) == (400, "invalid-request"), query


async def test_operators_see_usage_and_sweep(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.staged(b"content")
        usage = (await live.call("GET", "/v1/usage")).json
        assert usage["stored_size"] == len(b"content")
        assert [one["namespace"] for one in usage["namespaces"]] == ["team-a"]
        dry = await live.call("POST", "/v1/sweeps", body={"dry_run": True})
        assert (dry.status, dry.json["dry_run"]) == (200, True)


async def test_info_tells_where_pods_reach_the_server(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        info = (await live.call("GET", "/v1/info")).json
        assert info["pods"]["url"] == live.server.url
        assert info["auth_mode"] == "none"
        assert info["limits"]["file_size"] == live.server.state.parts.settings.limits.file_size


async def test_the_page_shows_bundles_and_runs_nothing(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(application="<script>alert(1)</script>")
        page = await live.call("GET", "/")
        assert page.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert b"&lt;script&gt;alert(1)" in page.body
        assert b"<script" not in page.body
        assert (await live.call("GET", "/static/page.css")).status == 200
