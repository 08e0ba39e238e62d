"""What marks the objects of a submission of ours, besides the bundle's own label.  Pure."""

from typing import Final

SUBMISSION: Final = "spark-staging.io/submission"
"""Label of the driver, the executors and all objects of a job: its submission id."""

RUN: Final = "spark-staging.io/run"
"""Annotation of all objects that one run of `submit` creates; by it a run knows its own after a lost answer."""

INPUTS: Final = "spark-staging.io/inputs"
"""Annotation of a driver with a submission id of the person's: digest of all that was submitted."""
