"""`spark-staging doctor`: is everything there that a job needs, and what to do where it is not.

`check_table` has all checks, one line each; `running` lets them look side by side, each within its time; `setup` is
what they look at, read and connected once.  The checks themselves are in `machine`, `spark`, `reaching`, `server`,
`cluster`, `rights`, `driver_account`, `namespace` and `pods`.
"""
