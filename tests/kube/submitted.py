"""Jobs through `spark-staging submit`: to their ends, with an executor that is killed, and with a driver outside."""

import dataclasses
import json
import socket
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from staging_protocol.pod_contract import LABEL
from tests.kube.cluster import Cluster, Context
from tests.kube.images import Image
from tests.kube.installation import PROGRAMS, Installation
from tests.kube.probe import EXECUTORS, NOT_WAITED_FOR, SMALL, Finished, Job, gather, submit, submit_command
from tests.kube.waiting import wait_for

GO: Final = "go"
CLIENT_MAIN: Final = Path(__file__).parent / "jobs" / "python" / "client_main.py"
R_MAIN: Final = Path(__file__).parent / "jobs" / "r" / "main.R"


def ended(
    words: list[str], *, installation: Installation, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `spark-staging submit` to its end, whatever its exit code."""
    return subprocess.run(
        [str(PROGRAMS / "spark-staging"), "submit", *words],
        env=installation.client_environment(**(variables or {})),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def words_of(job: Job, *, installation: Installation, context: Context) -> list[str]:
    """Return what stands behind `submit`."""
    return submit_command(job, installation.cluster, context=context)[1:]


def job_with_a_killed_executor(job: Job, *, installation: Installation, context: Context) -> Finished:
    """Let a job wait for the replacement of an executor before it uses its dependencies."""
    jobs = installation.cluster
    job = dataclasses.replace(
        job, through="submit", suffix="-killed", conf=NOT_WAITED_FOR, arguments=("--wait-for", GO, "--task", "2")
    )
    output = submit(job, installation=installation, context=context)
    wait_for(lambda: "WAITING" in jobs.logs(job.name), what="a driver that waits", seconds=180)
    first = wait_for(lambda: running_executors(jobs, job.name), what="its executors", seconds=180)
    jobs.kubectl("delete", "pod", first[0]["metadata"]["name"], "--now")
    gone = {pod["metadata"]["uid"] for pod in first}

    def replaced() -> bool:
        now = running_executors(jobs, job.name) or []
        return bool({pod["metadata"]["uid"] for pod in now} - gone)

    wait_for(replaced, what="an executor in its place", seconds=180)
    jobs.kubectl("exec", job.name, "--container", "spark-kubernetes-driver", "--", "touch", GO)
    jobs.wait_for_end(job.name, seconds=240)
    return gather(job, installation=installation, submit_output=output)


def running_executors(jobs: Cluster, driver: str) -> list[dict[str, Any]] | None:
    """Return the executors of a driver once as many as it wants are running."""
    bundle = jobs.get("pod", driver)["metadata"]["labels"][LABEL]
    pods = jobs.select("pod", labels=f"spark-role=executor,{LABEL}={bundle}")
    running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
    return running if len(running) >= EXECUTORS else None


def client_mode(job: Job, *, installation: Installation, context: Context) -> dict[str, Any]:
    """Run a driver on this machine, whose executors use staged dependencies; return what it printed."""
    files, home, address = job.files, job.spark.home, _address_for_pods(installation.cluster)
    conf = SMALL | {
        "spark.kubernetes.namespace": installation.cluster.namespace,
        "spark.kubernetes.container.image": job.image.name,
        "spark.driver.host": address,
        # Executors of Spark 4.1 and newer connect to it.
        "spark.driver.bindAddress": address,
        # The interpreters of driver and executors have to be of one version; that of the package's folder is.
        "spark.pyspark.driver.python": str(home.parents[3] / "bin" / "python"),
        "spark.pyspark.python": "python3",
    }
    command = ["--master", f"k8s://{context.server}", "--deploy-mode", "client", "--jars", str(files.jar)]
    command += ["--py-files", f"{files.module},{files.package}", "--files", str(files.file)]
    for key, value in conf.items():
        command += ["--conf", f"{key}={value}"]
    done = ended(
        [*command, str(CLIENT_MAIN)], installation=installation, variables={"SPARK_HOME": str(home)}
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("PROBE ")]
    return dict(json.loads(line.removeprefix("PROBE ")))


def r_job(job: Job, image: Image, *, installation: Installation, context: Context) -> str:
    """Run the R job to its end and return its driver's log."""
    job = dataclasses.replace(job, image=image, suffix="-r", conf={"spark.pyspark.python": "python3"})
    words = words_of(job, installation=installation, context=context)
    words[words.index(str(job.files.main))] = str(R_MAIN)
    done = ended(words, installation=installation)
    assert done.returncode == 0, done.stderr[-4000:]
    return installation.cluster.logs(job.name)


def failing_main(folder: Path, *, code: int) -> Path:
    """Write a Python main program that says something and ends with `code`."""
    path = folder / "failing.py"
    path.write_text(
        textwrap.dedent(f"""\
            import sys

            print("the last words of the driver", flush=True)
            sys.exit({code})
        """)
    )
    return path


def small_words(main: Path, job: Job, *, name: str, installation: Installation, context: Context) -> list[str]:
    """Return a command line for a main program that needs nothing else."""
    conf = SMALL | {
        "spark.kubernetes.namespace": installation.cluster.namespace,
        "spark.kubernetes.container.image": job.image.name,
        "spark.kubernetes.driver.pod.name": name,
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
    }
    words = ["--master", f"k8s://{context.server}", "--deploy-mode", "cluster", "--name", name]
    for key, value in conf.items():
        words += ["--conf", f"{key}={value}"]
    return [*words, str(main)]


def left_over(cluster: Cluster, *, name: str) -> list[str]:
    """Return what is there of a job besides its pods."""
    kinds = ("configmap", "service", "secret")
    names = [item["metadata"]["name"] for kind in kinds for item in cluster.select(kind)]
    return [found for found in names if found.startswith(name)]


def _address_for_pods(cluster: Cluster) -> str:
    """Return the address of this machine on the way to a node, at which pods reach it, too."""
    addresses = cluster.a_node()["status"]["addresses"]
    node = next(item["address"] for item in addresses if item["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node, 9))  # nothing is sent
        return str(probe.getsockname()[0])
