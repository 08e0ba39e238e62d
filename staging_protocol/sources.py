"""`sources.json`: how the places that dependencies come from are reached.  Everything has a default; no file is needed.

It holds no secret.  Where a credential is wanted it names a file: a relative path `<secret>/<key>` is the key of a
Kubernetes Secret, which `template` mounts into the init container below `pod_contract.SOURCE_SECRETS_FOLDER`, and which
a submitter keeps in a folder of that name beside `sources.json`; an absolute path is used as it is.

Unlike the words of the API, a field that is not known here is an error: it is a person's typing error.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

SOURCES_VERSION: Final = 1

CredentialFile = Annotated[str, Meta(min_length=1)]
"""`<secret>/<key>`, or an absolute path."""

Url = Annotated[str, Meta(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")]
"""`http://` or `https://`, host, port and path; no user info, no query."""

MirrorUri = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.\-]*://[^/?#@\s]*(/[^?#\s]*)?$")]
"""The beginning of a URI of any scheme; no user info, because `sources.json` holds no secret, and no query."""

Cidr = Annotated[str, Meta(pattern=r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$")]
"""An address, or a network as `10.0.0.0/8`."""

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Shell patterns (`*`, `?`, `[…]`): what matches `deny` is refused; where `allow` is not empty, so is all else.

    Attributes:
        allow: patterns, of which one must match.
        deny: patterns, of which none may match.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Networks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Networks of the addresses that hosts have.  The most specific one decides, as in a table of routes.

    Refused without a word here are loopback, link-local (clouds give credentials there), unspecified, multicast and
    reserved addresses, in every notation.  An equally or more specific `allow` lifts that.

    Attributes:
        allow: networks that may be reached.
        deny: networks that may not; `0.0.0.0/0` and `::/0` deny all that `allow` does not have.
    """

    allow: tuple[Cidr, ...] = ()
    deny: tuple[Cidr, ...] = ()


class Egress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Which dependencies may be fetched, from where; redirects too.

    It is a guard against mistakes; NetworkPolicy is the wall.

    Attributes:
        schemes: the only ones that may be used; empty: all that there are.
        hosts: of every request and redirect, by name, in any letter case.  Hosts that these settings name (endpoints,
            NameNodes, mirrors) count as allowed, with their port and by address too; `deny` refuses them all the same.
        networks: by address.  Behind a proxy, which looks names up by itself, only addresses that are written count.
        buckets: of S3 and GCS.
    """

    schemes: tuple[str, ...] = ()
    hosts: Allowed = Allowed()
    networks: Networks = Networks()
    buckets: Allowed = Allowed()


class ConnectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How all sources are connected to; what is left out comes from the environment, where it names a proxy.

    Attributes:
        ca_file: PEM file of authorities that are trusted on top of the system's.
        connect_timeout: seconds until a connection must stand.
        stall_timeout: seconds without a single byte after which a server counts as gone.
        proxies: URL of the proxy by scheme of the request (`http`, `https`).
        no_proxy: what is reached directly: hosts with all below them, with or without a port, networks, or `*`.
    """

    ca_file: CredentialFile | None = None
    connect_timeout: Seconds = 10.0
    stall_timeout: Seconds = 60.0
    proxies: dict[str, Url] | None = None
    no_proxy: tuple[str, ...] | None = None


class Mirror(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """URIs that begin with `prefix` are fetched from elsewhere; the longest prefix that fits counts.

    Attributes:
        prefix: the beginning of a URI, such as `https://repo1.maven.org/maven2/`.
        to: what it is replaced by, tried in order; the next one where one has not got it or does not answer.
            Name `prefix` itself too, if it shall be tried.
    """

    prefix: MirrorUri
    to: Annotated[tuple[MirrorUri, ...], Meta(min_length=1)]


class S3AccessKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """An access key, each part in a file of its own.

    Attributes:
        id: file with the access key's id.
        secret: file with the secret access key.
        session_token: file with the token that belongs to temporary ones.
    """

    id: CredentialFile
    secret: CredentialFile
    session_token: CredentialFile | None = None


class S3Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How one bucket is reached; what is left out comes from `s3`, then from the AWS chain and environment.

    Attributes:
        endpoint: URL of the service; left out: AWS.
        region: of the bucket.
        path_style: whether the bucket stands in the path (`https://host/bucket/key`) instead of the host's name.
        anonymous: ask without credentials.
        profile: profile of the credentials file.
        credentials: an AWS shared credentials file (`[default]`, `aws_access_key_id = …`).
        access_key: the same in files of their own.
        requester_pays: agree to pay for the bytes of such a bucket.
    """

    endpoint: Url | None = None
    region: str | None = None
    path_style: bool | None = None
    anonymous: bool | None = None
    profile: str | None = None
    credentials: CredentialFile | None = None
    access_key: S3AccessKey | None = None
    requester_pays: bool | None = None


class S3Sources(S3Bucket, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Settings of all buckets, and of some.

    Attributes:
        buckets: the same fields for one bucket, by its name.
    """

    buckets: dict[str, S3Bucket] = {}


class GcsBucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How one bucket is reached; what is left out comes from `gcs`.

    Attributes:
        endpoint: URL of an emulator or private endpoint; left out: Google's.
        anonymous: ask without credentials.
        credentials: JSON file of a service account or of workload identity federation; left out: application default.
        user_project: project that pays for requests to a requester-pays bucket.
    """

    endpoint: Url | None = None
    anonymous: bool | None = None
    credentials: CredentialFile | None = None
    user_project: str | None = None


class GcsSources(GcsBucket, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Settings of all buckets, and of some.

    Attributes:
        buckets: the same fields for one bucket, by its name.
    """

    buckets: dict[str, GcsBucket] = {}


class HdfsNameservice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How one HDFS is reached; what is left out comes from `hdfs`.

    Attributes:
        urls: WebHDFS (or HttpFS) of each NameNode, such as `http://nn1:9870`; the active one is found.
        user: of this service.
        delegation_token: of this service.
    """

    urls: tuple[Url, ...] = ()
    user: str | None = None
    delegation_token: CredentialFile | None = None


class HdfsSources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Settings of all HDFS services, and of some.

    Attributes:
        site: an hdfs-site.xml that names nameservices and their NameNodes' HTTP addresses.
        user: name that is sent where the cluster does not ask for more; left out: HADOOP_USER_NAME, else nobody.
        delegation_token: file with a delegation token, as `hdfs fetchdt --webservice` prints it.
        nameservices: by the authority of the URI: a nameservice, or host and port of a NameNode's RPC.
    """

    site: CredentialFile | None = None
    user: str | None = None
    delegation_token: CredentialFile | None = None
    nameservices: dict[str, HdfsNameservice] = {}


class BasicCredentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """User name and password, as a Secret of type `kubernetes.io/basic-auth` has them.

    Attributes:
        username: file with the user name.
        password: file with the password.
    """

    username: CredentialFile
    password: CredentialFile


class HttpHost(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is shown to one host, and to no other.

    Attributes:
        basic: user name and password.
        bearer: file with a token.
        headers: files with the values of further header fields, by name (`X-JFrog-Art-Api`).
        client_certificate: PEM file with certificate and chain.
        client_key: PEM file with its key; left out: it is in the same file.
    """

    basic: BasicCredentials | None = None
    bearer: CredentialFile | None = None
    headers: dict[str, CredentialFile] = {}
    client_certificate: CredentialFile | None = None
    client_key: CredentialFile | None = None


class HttpSources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Web servers.

    Attributes:
        hosts: by `host`, which means its https port 443, or `host:port`.
        redirects: how many are followed; 0 refuses them.
        redirect_hosts: shell patterns of other hosts that redirects may lead to; empty: any that `egress` allows.
    """

    hosts: dict[str, HttpHost] = {}
    redirects: Annotated[int, Meta(ge=0, le=20)] = 5
    redirect_hosts: tuple[str, ...] = ()


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The whole of `sources.json`.

    Attributes:
        version: of this format.
        connection: TLS, proxies and time-outs, for all sources alike.
        egress: what may be fetched.
        mirrors: where else to look.
        allow_plain_http: send credentials in clear text to other machines too.
        s3: `s3://`, `s3a://` and `s3n://`.
        gcs: `gs://`.
        hdfs: `hdfs://`, `webhdfs://` and `swebhdfs://`.
        http: `http://` and `https://`.
    """

    version: Annotated[int, Meta(ge=SOURCES_VERSION, le=SOURCES_VERSION)] = SOURCES_VERSION
    connection: ConnectionSettings = ConnectionSettings()
    egress: Egress = Egress()
    mirrors: tuple[Mirror, ...] = ()
    allow_plain_http: bool = False
    s3: S3Sources = S3Sources()
    gcs: GcsSources = GcsSources()
    hdfs: HdfsSources = HdfsSources()
    http: HttpSources = HttpSources()


def credential_files(settings: SourceSettings) -> tuple[str, ...]:
    """Return every file that `settings` name, each once, in their order: what `template` has to mount."""
    return tuple(dict.fromkeys(_files(settings)))


def _files(settings: SourceSettings) -> list[str]:
    s3, gcs, hdfs = settings.s3, settings.gcs, settings.hdfs
    named = [settings.connection.ca_file]
    for bucket in (s3, *s3.buckets.values()):
        key = bucket.access_key
        named += [bucket.credentials, *(() if key is None else (key.id, key.secret, key.session_token))]
    named += [bucket.credentials for bucket in (gcs, *gcs.buckets.values())]
    named += [hdfs.site, hdfs.delegation_token, *(one.delegation_token for one in hdfs.nameservices.values())]
    for host in settings.http.hosts.values():
        basic = () if host.basic is None else (host.basic.username, host.basic.password)
        named += [*basic, host.bearer, *host.headers.values(), host.client_certificate, host.client_key]
    return [name for name in named if name is not None]
