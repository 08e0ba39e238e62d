"""A spark-submit command rewritten: without what the pods have already, with what Spark has to be told.  Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from submission.classify import OPTIONS
from submission.spark.command_line import PROPERTIES, Option, SubmitCommand
from submission.spark.conf import DRIVER_CLASS_PATH
from submission.spark.submission import Submission

_TAKEN_OPTIONS: Final = frozenset(OPTIONS.values())
_TAKEN_PROPERTIES: Final = frozenset(PROPERTIES.values())


def replaced_properties(submission: Submission) -> dict[str, str] | None:
    """Return the properties file without lists of dependencies; None when it has none and can stay.

    A list in the file cannot be taken back on the command line: an empty value is not the same as none.
    """
    if _TAKEN_PROPERTIES.isdisjoint(submission.from_file):
        return None
    return {key: value for key, value in submission.from_file.items() if key not in _TAKEN_PROPERTIES}


def rewritten(
    submission: Submission,
    *,
    told: Mapping[str, str],
    main: str,
    properties_file: str | None = None,
    main_class: str | None = None,
    name: str | None = None,
) -> SubmitCommand:
    """Return the command that is run instead.

    Args:
        submission: what the person wrote.
        told: properties that are added, over the person's own.
        main: main resource.
        properties_file: file that replaces the person's own.
        main_class: added where the person gave none.
        name: name of the application, added where the person gave none.
    """
    command = submission.command
    kept = [option for option in command.options if not _is_taken(option, told=told, file=properties_file)]
    added = [] if properties_file is None else [Option(name="--properties-file", value=properties_file)]
    if main_class is not None and not command.has("--class"):
        added.append(Option(name="--class", value=main_class))
    if name is not None and not command.has("--name") and "spark.app.name" not in submission.properties:
        added.append(Option(name="--name", value=name))
    added += [Option(name="--conf", value=f"{key}={value}") for key, value in told.items()]
    return replace(command, options=(*kept, *added), main=main)


def _is_taken(option: Option, *, told: Mapping[str, str], file: str | None) -> bool:
    if option.conf is not None:
        return option.conf[0] in _TAKEN_PROPERTIES or option.conf[0] in told
    if option.name in {"--properties-file", "--load-spark-defaults"}:
        return file is not None
    if option.name == "--driver-class-path":
        return DRIVER_CLASS_PATH in told
    return option.name in _TAKEN_OPTIONS
