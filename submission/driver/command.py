"""What the driver runs: arguments of Spark's container, and the Python that it takes (`DriverCommandFeatureStep`).

The image's entry point reads them: `driver --properties-file … --class MAIN RESOURCE ARGUMENT…`.  Pure.
"""

from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.driver.building import Building, variable
from submission.driver.conf_map import PROPERTIES_FILE
from submission.driver.job import Language

_RUNNERS: Final = {
    Language.PYTHON: "org.apache.spark.deploy.PythonRunner",
    Language.R: "org.apache.spark.deploy.RRunner",
}
_PYTHON: Final = "PYSPARK_PYTHON"
_DRIVER_PYTHON: Final = "PYSPARK_DRIVER_PYTHON"


def command(building: Building) -> Building:
    """Set what the container runs.

    Raises:
        InvalidRequest: a jar comes without its main class.
    """
    main, user = building.job.main, building.job.proxy_user
    main_class = _RUNNERS.get(main.language, main.main_class)
    if main_class is None:
        msg = f"{main.uri} has no main class; name it with --class"
        raise InvalidRequest(msg)
    arguments = [
        *building.container_list("args"),
        "driver",
        *([] if user is None else ["--proxy-user", user]),
        *("--properties-file", PROPERTIES_FILE),
        *("--class", main_class),
        main.uri,
        *main.arguments,
    ]
    building = building.with_container(args=arguments)
    if main.language is Language.PYTHON:
        building = _with_python(building)
    return building.with_properties({"spark.kubernetes.resource.type": str(main.language)})


def _with_python(building: Building) -> Building:
    conf, environment = building.conf, building.job.environment
    python = conf.optional("spark.pyspark.python")
    chosen = {
        _PYTHON: _first(python, environment.get(_PYTHON)),
        _DRIVER_PYTHON: _first(
            conf.optional("spark.pyspark.driver.python"),
            python,
            environment.get(_DRIVER_PYTHON),
            environment.get(_PYTHON),
        ),
    }
    return building.with_env(*(variable(name, value) for name, value in chosen.items() if value is not None))


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)
