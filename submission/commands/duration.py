"""Options whose value is a time."""

from typing import Any

import click

from staging_protocol.errors import InvalidRequest


class Duration(click.ParamType[float]):
    """A time as Spark's properties have it, `30m`; the value is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        if isinstance(value, float):  # converted already, as click may do
            return value
        from submission.spark.values import seconds

        try:
            found = seconds(str(value), key=param.opts[-1] if param is not None else self.name)
        except InvalidRequest as error:
            self.fail(error.detail, param, ctx)
        if found < 0:
            self.fail(f"{value} is less than nothing", param, ctx)
        return found
