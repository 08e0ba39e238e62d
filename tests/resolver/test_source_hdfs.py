"""The source for HDFS: the contracts against a real one, who may read what, files that change, servers that go away."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trustme

from resolver.sources.hdfs.source import HdfsSource
from resolver.sources.hdfs.tokens import read_token
from resolver.sources.outside import Outside
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    PeerNotTrusted,
    RefusedByPolicy,
    SourceChanged,
    SourceUnavailable,
    StagingError,
)
from staging_protocol.sources import HdfsNameservice, HdfsSources
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, NAMES, ListingContract, Served, ServedFolder, SourceContract, listed, read
from tests.resolver.hdfs import HASTY, Interrupted, ServedByHdfs, download, front_of, hadoop_or_missing, named, way_out
from tests.services.hadoop import PAGE, Hadoop
from tests.services.nginx import Nginx, NginxTls, running_nginx

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def hadoop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with hadoop_or_missing(tmp_path_factory.mktemp("hadoop")) as running:
        yield running


@pytest.fixture
def outside(hadoop: Hadoop) -> Iterator[Outside]:
    with way_out(named(hadoop)) as out:
        yield out


@pytest.fixture
def served(hadoop: Hadoop, outside: Outside) -> ServedByHdfs:
    return ServedByHdfs(hadoop, outside)


class TestHdfsSource(SourceContract):
    # Hadoop 2.7 decodes the path twice when it writes and reads, so it cannot hold a name with a percent sign.
    @pytest.mark.parametrize("name", [name for name in NAMES if name != "plain.jar"])
    def test_any_name_can_be_read(self, served: Served, name: str) -> None:
        super().test_any_name_can_be_read(served, name)


class TestHdfsListing(ListingContract):
    def test_more_names_than_one_answer_holds_are_all_listed(self, served: ServedFolder) -> None:
        # Writing takes long, so this cluster's NameNode has smaller pages, of which it makes one answer itself.
        names = {f"sub/{number}.jar" for number in range(PAGE, 2 * PAGE + 10)}
        served.put_many(names)
        assert listed(served, "sub/").keys() == listed(served, "sub/", deep=True).keys() == names
        assert len(listed(served, "sub/10")) == 10


# --- who asks


def test_what_may_not_be_read_names_the_user_and_what_the_cluster_says(hadoop: Hadoop, served: ServedByHdfs) -> None:
    uri = served.put("secret.jar", CONTENT)
    hadoop.ask("PUT", "SETPERMISSION", f"{served.path}/secret.jar", permission="600")
    with way_out(named(hadoop, user="mallory")) as out, pytest.raises(Denied) as caught:
        read(HdfsSource(out), uri)
    assert "the user mallory (hdfs.user of sources.json)" in caught.value.detail
    assert "access=READ" in caught.value.detail


@pytest.mark.parametrize(
    ("given", "environment", "allowed", "identity"),
    [
        (HdfsSources(user="alice"), {}, True, "the user alice (hdfs.user of sources.json)"),
        (HdfsSources(user="mallory"), {}, False, "the user mallory (hdfs.user of sources.json)"),
        (HdfsSources(), {"HADOOP_USER_NAME": "alice"}, True, "the user alice (HADOOP_USER_NAME)"),
        (HdfsSources(user="mallory"), {"HADOOP_USER_NAME": "alice"}, False, "the user mallory (hdfs.user of"),
        (HdfsSources(), {}, False, "nobody (hdfs.user of sources.json is not set)"),
    ],
    ids=["right", "wrong", "from the environment", "settings before environment", "nobody"],
)
def test_the_user_of_the_settings_asks(
    hadoop: Hadoop,
    served: ServedByHdfs,
    given: HdfsSources,
    environment: dict[str, str],
    *,
    allowed: bool,
    identity: str,
) -> None:
    uri = served.put("a.jar", CONTENT)
    hadoop.ask("PUT", "SETOWNER", f"{served.path}/a.jar", owner="alice")
    hadoop.ask("PUT", "SETPERMISSION", f"{served.path}/a.jar", permission="400")
    given = msgspec.structs.replace(given, nameservices={"ns": HdfsNameservice(urls=hadoop.urls)})
    with way_out(given, environment=environment) as out:
        source = HdfsSource(out)
        assert identity in source.identity(uri)
        if allowed:
            assert read(source, uri) == CONTENT
        else:
            with pytest.raises(Denied):
                read(source, uri)


def test_the_user_of_a_nameservice_counts_before_the_one_of_all(hadoop: Hadoop, served: ServedByHdfs) -> None:
    given = HdfsSources(user="mallory", nameservices={"ns": HdfsNameservice(urls=hadoop.urls, user="alice")})
    with way_out(given) as out:
        assert (
            HdfsSource(out).identity(served.missing()) == "the user alice (hdfs.nameservices.ns.user of sources.json)"
        )


def test_a_token_that_hadoop_wrote_is_one_to_hadoop(hadoop: Hadoop, tmp_path: Path) -> None:
    """Without Kerberos a NameNode looks at no token, but for renewing and cancelling it."""
    hadoop.fetch_token(tmp_path / "token")
    token = read_token(tmp_path / "token", nameservice="ns")
    assert hadoop.ask("PUT", "RENEWDELEGATIONTOKEN", "/", token=token).status == 200
    assert hadoop.ask("PUT", "CANCELDELEGATIONTOKEN", "/", token=token).status == 200
    assert b'"InvalidToken"' in hadoop.ask("PUT", "RENEWDELEGATIONTOKEN", "/", token=token).data


def test_a_token_is_shown_to_namenode_and_datanode(hadoop: Hadoop, served: ServedByHdfs, tmp_path: Path) -> None:
    uri = served.put("a.jar", CONTENT)
    hadoop.fetch_token(tmp_path / "token")
    service = HdfsNameservice(urls=hadoop.urls, delegation_token="token")
    with way_out(HdfsSources(nameservices={"ns": service}), secrets=tmp_path) as out:
        assert read(HdfsSource(out), uri) == CONTENT


# --- which HDFS


def test_every_way_to_name_an_hdfs_leads_to_it(hadoop: Hadoop, served: ServedByHdfs) -> None:
    served.put("a.jar", CONTENT)
    path = f"{served.path}/a.jar"
    site = HdfsSources(site=str(hadoop.site), user="alice")
    address = hadoop.url.removeprefix("http://")
    for given, uri in [
        (named(hadoop), f"hdfs://ns{path}"),
        (named(hadoop), f"hdfs://{path}"),
        (named(hadoop), f"webhdfs://ns{path}"),
        (HdfsSources(nameservices={hadoop.rpc: HdfsNameservice(urls=hadoop.urls)}), f"hdfs://{hadoop.rpc}{path}"),
        (site, f"hdfs://{hadoop.rpc}{path}"),
        (site, f"hdfs://{path}"),
        (HdfsSources(), f"webhdfs://{address}{path}"),
        (HdfsSources(nameservices={"ns": HdfsNameservice(urls=(f"{hadoop.url}/webhdfs/v1",))}), f"hdfs://ns{path}"),
    ]:
        with way_out(given) as out:
            assert read(HdfsSource(out), DependencyUri.parse(uri)) == CONTENT, uri


# --- files that are something else, or become it


def test_a_folder_is_no_dependency(served: ServedByHdfs) -> None:
    served.make_folder("libs")
    with pytest.raises(InvalidRequest, match="with a slash at its end"):
        served.source.stat(served.uri("libs"))


def test_a_query_is_no_part_of_a_path(served: ServedByHdfs) -> None:
    uri = DependencyUri.parse(f"{served.put('a.jar', CONTENT).text}?x=y")
    with pytest.raises(InvalidRequest, match="%3F"):
        read(served.source, uri)


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT[:1000], CONTENT + b"more"], ids=["same", "less", "more"])
def test_a_file_that_was_replaced_is_noticed_in_every_part(served: ServedByHdfs, content: bytes) -> None:
    version = served.source.stat(served.put("a.jar", CONTENT)).version
    uri = served.put("a.jar", content)
    for start, stop in [(0, 100), (0, None), (5000, 6000), (len(CONTENT) - 10, None)]:
        with pytest.raises(SourceChanged):
            read(served.source, uri, version=version, start=start, stop=stop)


def test_a_file_that_was_appended_to_is_noticed(hadoop: Hadoop, served: ServedByHdfs) -> None:
    uri = served.put("a.jar", CONTENT)
    version = served.source.stat(uri).version
    hadoop.append(f"{served.path}/a.jar", b"more")
    with pytest.raises(SourceChanged):
        read(served.source, uri, version=version, start=5, stop=10)


def test_a_file_that_was_deleted_is_not_found(hadoop: Hadoop, served: ServedByHdfs) -> None:
    uri = served.put("a.jar", CONTENT)
    version = served.source.stat(uri).version
    hadoop.ask("DELETE", "DELETE", f"{served.path}/a.jar")
    with pytest.raises(NotFound):
        read(served.source, uri, version=version, start=5, stop=10)


def test_a_file_that_is_replaced_under_its_download_is_downloaded_once_again(
    hadoop: Hadoop, served: ServedByHdfs, tmp_path: Path
) -> None:
    old, new = b"o" * 5_000_000, b"n" * 5_000_000
    uri = served.put("a.jar", old)
    source = Interrupted(served.outside, lambda: hadoop.put(f"{served.path}/a.jar", new))
    errors = download(uri, tmp_path, source=source, outside=served.outside)
    assert {type(error) for error in errors} == {SourceChanged}
    assert (tmp_path / "a.jar").read_bytes() == new


# --- servers that go away


def test_a_datanode_that_is_killed_in_the_middle_is_waited_for(
    hadoop: Hadoop, served: ServedByHdfs, tmp_path: Path
) -> None:
    content = CONTENT * 40
    starting = threading.Thread(target=hadoop.start, args=("dn",))

    def kill() -> None:
        hadoop.kill("dn")
        starting.start()

    uri = served.put("a.jar", content)
    errors = download(uri, tmp_path, source=Interrupted(served.outside, kill), outside=served.outside)
    starting.join()
    assert errors
    assert (tmp_path / "a.jar").read_bytes() == content
    hadoop.wait_until_data()


def test_without_a_datanode_the_file_is_unavailable_and_its_status_is_not(hadoop: Hadoop, served: ServedByHdfs) -> None:
    uri = served.put("a.jar", CONTENT)
    hadoop.kill("dn")
    try:
        assert served.source.stat(uri).size == len(CONTENT)
        with pytest.raises(SourceUnavailable, match=hadoop.datanode_url):
            read(served.source, uri)
    finally:
        hadoop.start("dn")
        hadoop.wait_until_data()
    assert read(served.source, uri) == CONTENT


def test_a_namenode_leaves_a_datanode_out_by_its_address(hadoop: Hadoop, served: ServedByHdfs) -> None:
    served.put("a.jar", CONTENT)
    path = f"{served.path}/a.jar"
    assert b"No active nodes" in hadoop.ask("GET", "OPEN", path, excludedatanodes="127.0.0.1").data
    assert hadoop.ask("GET", "OPEN", path, excludedatanodes="127.0.0.2").status == 307


# --- ways to it


@pytest.fixture(scope="module")
def tls_front(hadoop: Hadoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, str]]:
    """An nginx that speaks TLS before the servers, and the file of its authority."""
    folder = tmp_path_factory.mktemp("front")
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "pair.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    with front_of(hadoop, folder, tls=NginxTls(folder / "pair.pem", folder / "pair.pem")) as nginx:
        yield nginx, str(folder / "ca.pem")


@pytest.fixture(scope="module")
def front(hadoop: Hadoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """An nginx before the servers in clear text."""
    with front_of(hadoop, tmp_path_factory.mktemp("front")) as nginx:
        yield nginx


def test_with_a_known_authority_everything_goes_over_tls(served: ServedByHdfs, tls_front: tuple[Nginx, str]) -> None:
    nginx, ca_file = tls_front
    served.put("a.jar", CONTENT)
    uri = DependencyUri.parse(f"swebhdfs://127.0.0.1:{nginx.port}{served.path}/a.jar")
    with way_out(HdfsSources(user="alice"), http=msgspec.structs.replace(HASTY, ca_file=ca_file)) as out:
        assert read(HdfsSource(out), uri) == CONTENT
    assert f"GET /dn/webhdfs/v1{served.path}/a.jar?op=OPEN" in nginx.logged()


def test_an_unknown_authority_is_not_trusted(served: ServedByHdfs, tls_front: tuple[Nginx, str]) -> None:
    uri = DependencyUri.parse(f"swebhdfs://127.0.0.1:{tls_front[0].port}{served.path}/a.jar")
    with pytest.raises(PeerNotTrusted):
        read(served.source, uri)


def test_a_redirect_out_of_tls_is_refused(served: ServedByHdfs, tls_front: tuple[Nginx, str]) -> None:
    nginx, ca_file = tls_front
    uri = served.put("a.jar", CONTENT)
    given = named(served.hadoop, urls=(f"{nginx.url}/as-they-are",))
    with way_out(given, http=msgspec.structs.replace(HASTY, ca_file=ca_file)) as out:
        assert HdfsSource(out).stat(uri).size == len(CONTENT)
        with pytest.raises(RefusedByPolicy, match="from https to http"):
            read(HdfsSource(out), uri)


def test_a_proxy_is_used_for_both_servers(served: ServedByHdfs, front: Nginx) -> None:
    served.put("a.jar", CONTENT)
    urls = ("http://namenode.example:9870",)
    http = msgspec.structs.replace(HASTY, proxies={"http": front.url})
    with way_out(named(served.hadoop, urls=urls), http=http) as out:
        assert read(HdfsSource(out), served.uri("a.jar")) == CONTENT
    assert f"GET http://namenode.example:9870/dn/webhdfs/v1{served.path}/a.jar?op=OPEN" in front.logged()


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("return 404;", InvalidRequest),
        ("return 403;", InvalidRequest),
        ("return 200 '<html>Welcome</html>'; default_type text/html;", InvalidRequest),
        ("return 302 https://login.example/;", InvalidRequest),
        ("return 503;", SourceUnavailable),
    ],
)
def test_a_cluster_without_webhdfs_is_told_so(tmp_path: Path, location: str, error: type[StagingError]) -> None:
    with running_nginx(tmp_path, locations=f"location / {{ {location} }}") as nginx:
        settings = HdfsSources(nameservices={"ns": HdfsNameservice(urls=(nginx.url,))})
        with way_out(settings) as out, pytest.raises(error) as caught:
            HdfsSource(out).stat(DependencyUri.parse("hdfs://ns/a.jar"))
    assert nginx.url in caught.value.detail
    assert error is SourceUnavailable or "does not serve WebHDFS" in caught.value.detail
