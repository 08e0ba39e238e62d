"""The page of `doctor`: a row for each check, from the table that runs them."""

from submission.doctor.check_table import CHECKS
from submission.doctor.checks import Check


def doctor_page() -> str:
    """Return the page."""
    rows = "\n".join(_row(check) for check in CHECKS)
    return f"""# What doctor looks at

`spark-staging doctor` looks whether everything is there that a job needs, and says what to do where it is not.
Nothing is created or changed: rights are asked for by access reviews, and the right to create bundles by a create without a body, which the server refuses after it has decided who asks and whether they may.

```
spark-staging doctor -n jobs --image registry.example/spark:4.3.0
spark-staging doctor -- --master k8s://https://HOST:6443 --deploy-mode cluster --conf spark.kubernetes.container.image=IMAGE app.jar
spark-staging doctor -o json
```

With the arguments of `spark-staging submit` behind `--`, it looks at that submission: its cluster, namespace, images and service account.

Each check is one of these:

- **ok**: as it should be.
- **warn**: jobs run, but not as well as they could, or not everywhere.
- **fail**: jobs will not run.
- **unknown**: nobody who could be asked would tell.
- **skipped**: there was nothing to look at, because of the failure that is named.

Checks that do not need one another run side by side, each for at most `--timeout` seconds.
The exit code is 1 when a check fails, else 0.

## Checks

| check | looks | usual fix | needs |
|---|---|---|---|
{rows}
"""


def _row(check: Check) -> str:
    cells = (f"`{check.name}`", check.asks, check.fix, ", ".join(f"`{need}`" for need in check.needs))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
