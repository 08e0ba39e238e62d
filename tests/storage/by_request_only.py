"""`spark-staging-server`, but for the lead that is renewed by the clock: what is written is written for a request.

Otherwise a renewal that is being committed while a request is answered looks like an answer before its commit.
"""

from staging_server.cli import main
from staging_server.retention.lead import Lead

if __name__ == "__main__":
    defaults = Lead.__init__.__kwdefaults__ or {}
    assert "try_every" in defaults
    defaults["try_every"] = 3600.0
    main()
