"""One module a scenario, and `ALL` of them in the order in which they run."""

from typing import Final

from benchmarks.scenario import Scenario
from benchmarks.scenarios import create, fan_out, get, init, put, resolve, resubmit

ALL: Final = (
    Scenario("get", get.run),
    Scenario("fan-out", fan_out.run),
    Scenario("put", put.run),
    Scenario("resolve", resolve.run_large),
    Scenario("resolve-small", resolve.run_small),
    Scenario("resubmit", resubmit.run),
    Scenario("create", create.run),
    Scenario("init", init.run),
)
