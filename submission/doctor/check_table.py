"""All checks, in the order in which people read them; each comes after those that it needs.

The page docs/doctor.md is made from this table.
"""

from collections.abc import Callable
from typing import Final

from submission.doctor import cluster, driver_account, machine, namespace, pods, reaching, rights, server, spark
from submission.doctor.checks import Check, Look
from submission.doctor.reaching import Target
from submission.doctor.setup import Setup

_ROLE_OF_SUBMITTERS: Final = "let an administrator bind a role with these rights, such as the ClusterRole edit"
_CLOCK: Final = "let time be kept by NTP on both machines (timedatectl, chronyc tracking); compare by: date -u"


def _address(target: Callable[[Setup], Target]) -> Look:
    return lambda setup: reaching.find_address(target(setup))


def _connection(target: Callable[[Setup], Target]) -> Look:
    return lambda setup: reaching.connect(target(setup), seconds=setup.patience)


def _handshake(target: Callable[[Setup], Target]) -> Look:
    return lambda setup: reaching.shake_hands(target(setup), seconds=setup.patience)


def _server(setup: Setup) -> Target:
    return setup.server


def _cluster(setup: Setup) -> Target:
    return setup.cluster


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        name="settings",
        asks="Are the flags, the variables SPARK_STAGING_… and the file of settings good?",
        look=machine.settings,
        fix="correct what is named; docs/settings.md has all settings",
    ),
    Check(
        name="libraries",
        asks="Are Python and the libraries of the client as new as they have to be?",
        look=machine.libraries,
        fix="install them anew: pip install --upgrade 'spark-staging[submit]'",
    ),
    Check(
        name="cache folder",
        asks="Can digests and the state of uploads be kept between submits?",
        look=machine.cache_folder,
        fix="make room, or name another folder in SPARK_STAGING_CACHE_FOLDER",
        needs=("settings",),
    ),
    Check(
        name="proxies",
        asks="Does a proxy stand where there should be none?",
        look=machine.proxies_on_the_way,
        fix="correct HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        needs=("settings",),
    ),
    Check(
        name="Spark configuration",
        asks="Are SPARK_CONF_DIR and SPARK_HOME folders, and can spark-defaults.conf be read?",
        look=spark.configuration,
        fix="correct SPARK_CONF_DIR, or unset it",
    ),
    Check(
        name="command",
        asks="Can the arguments of the submission be understood?",
        look=spark.command,
        fix="correct the command; spark-staging submit --help has its options",
        needs=("settings", "Spark configuration"),
    ),
    Check(
        name="Spark version",
        asks="Is the version of Spark known, and one of 3.4 to 4.x; in client mode, is a spark-submit here?",
        look=spark.version,
        fix="use an image with Spark 3.4 or newer, and say which with --spark-version X.Y",
        needs=("command",),
    ),
    Check(
        name="Spark image",
        asks="Is an image with Spark in it named?",
        look=spark.image,
        fix="--conf spark.kubernetes.container.image=IMAGE",
        needs=("command",),
    ),
    Check(
        name="server URL",
        asks="Is the URL of a staging server given?",
        look=server.url,
        fix="set SPARK_STAGING_URL, --url, or url in the file of settings",
        needs=("settings",),
    ),
    Check(
        name="server DNS",
        asks="Has the staging server's name an address?",
        look=_address(_server),
        fix="correct the host name in SPARK_STAGING_URL",
        needs=("server URL",),
    ),
    Check(
        name="server port",
        asks="Does something listen there, and do proxies lead to it?",
        look=_connection(_server),
        fix="correct the port in SPARK_STAGING_URL, or let the network's people look",
        needs=("server DNS",),
    ),
    Check(
        name="server TLS",
        asks="Is it spoken where the URL says so, and does the certificate hold?",
        look=_handshake(_server),
        fix="let whoever runs the staging server look at its certificate",
        needs=("server port",),
    ),
    Check(
        name="staging server",
        asks="Is what answers there a staging server?",
        look=server.staging_server,
        fix="correct SPARK_STAGING_URL: curl URL/v1/info has to show a staging server",
        needs=("server TLS",),
    ),
    Check(
        name="server API",
        asks="Do server and client speak the same API, and are their versions near?",
        look=server.api_versions,
        fix="install the same minor version of client and server, or one beside it",
        needs=("staging server",),
    ),
    Check(
        name="server clock",
        asks="Is it the same time here and on the staging server?",
        look=server.clock,
        fix=_CLOCK,
        needs=("staging server",),
    ),
    Check(
        name="server identity",
        asks="Does the staging server know who we are?",
        look=server.identity,
        fix="give a token (SPARK_STAGING_TOKEN_FILE), or a service account (--service-account)",
        needs=("staging server",),
    ),
    Check(
        name="server rights",
        asks="May we create bundles in the namespace?",
        look=server.right_to_create,
        fix="ask whoever runs the staging server",
        needs=("server identity",),
    ),
    Check(
        name="kubeconfig",
        asks="Is there a kubeconfig, or a pod's own identity, and has it the context?",
        look=cluster.kubeconfig,
        fix="name one with KUBECONFIG, and a context of it with --context; kubectl config get-contexts lists them",
        needs=("settings",),
    ),
    Check(
        name="cluster login",
        asks="Does the kubeconfig's token, certificate or login program give credentials?",
        look=cluster.login,
        fix="run the login program by hand, or log in again with your cloud's tool",
        needs=("kubeconfig",),
    ),
    Check(
        name="cluster DNS",
        asks="Has the API server's name an address?",
        look=_address(_cluster),
        fix="correct the address in the kubeconfig",
        needs=("kubeconfig",),
    ),
    Check(
        name="cluster port",
        asks="Does the API server listen there, and do proxies lead to it?",
        look=_connection(_cluster),
        fix="correct the address in the kubeconfig; is the cluster running, the VPN up?",
        needs=("cluster DNS",),
    ),
    Check(
        name="cluster TLS",
        asks="Is it the API server of the kubeconfig?",
        look=_handshake(_cluster),
        fix="take the kubeconfig of this cluster",
        needs=("cluster port",),
    ),
    Check(
        name="API server",
        asks="Is what answers there a Kubernetes API?",
        look=cluster.api_server,
        fix="correct the address in the kubeconfig: kubectl version has to work",
        needs=("cluster TLS", "cluster login"),
    ),
    Check(
        name="cluster clock",
        asks="Is it the same time here and in the cluster?",
        look=cluster.clock,
        fix=_CLOCK,
        needs=("cluster TLS",),
    ),
    Check(
        name="cluster identity",
        asks="Does the cluster know who we are?",
        look=cluster.user,
        fix="log in again: kubectl has to work with the same kubeconfig and context",
        needs=("API server",),
    ),
    Check(
        name="namespace",
        asks="Is the namespace of the job there?",
        look=cluster.namespace,
        fix="give the right one (-n, or spark.kubernetes.namespace)",
        needs=("cluster identity",),
    ),
    Check(
        name="rights",
        asks="May we create, follow and delete all that a job has there?",
        look=rights.of_submitter,
        fix=_ROLE_OF_SUBMITTERS,
        needs=("namespace",),
    ),
    Check(
        name="driver account",
        asks="Is the service account of the driver there?",
        look=driver_account.is_there,
        fix="--conf spark.kubernetes.authenticate.driver.serviceAccountName=NAME",
        needs=("namespace", "command"),
    ),
    Check(
        name="driver rights",
        asks="May it create, follow and delete executors?",
        look=driver_account.rights,
        fix="let an administrator bind a role to it, such as the ClusterRole edit",
        needs=("driver account",),
    ),
    Check(
        name="quotas",
        asks="Is there room for a job in the quotas of the namespace?",
        look=namespace.quotas,
        fix="wait until other jobs are done, delete what is not needed, or ask for more; see: kubectl describe "
        "resourcequota",
        needs=("namespace",),
    ),
    Check(
        name="Pod Security",
        asks="Would the profile of the namespace let our pods in?",
        look=namespace.pod_security,
        fix="submit with --pod-security restricted",
        needs=("namespace",),
    ),
    Check(
        name="init image",
        asks="Is the image of the init container named, and of this version?",
        look=pods.init_image,
        fix="push the image into a registry that your nodes reach, and name it in SPARK_STAGING_INIT_IMAGE",
        needs=("settings",),
    ),
    Check(
        name="pod URL",
        asks="Can pods reach the staging server at the URL that they are told?",
        look=pods.url_for_pods,
        fix="name the URL at which pods reach the server in SPARK_STAGING_POD_URL (or --pod-url), or in the server's "
        "own SPARK_STAGING_SERVER_POD_URL",
        needs=("staging server",),
    ),
    Check(
        name="pod identity",
        asks="How do pods show who they are, and may we give it to them?",
        look=rights.of_secrets,
        fix=_ROLE_OF_SUBMITTERS,
        needs=("staging server", "namespace"),
    ),
)
