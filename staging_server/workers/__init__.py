"""Several processes behind one port.

    parent (the first process)                         children, one per further worker
    binds the socket  ──── inherited socket ─────────▶ accept from it, too
    restarts, drains  ◀─── channel (SEQPACKET) ──────▶ end when the channel ends

With PostgreSQL each child is a full server.  With SQLite, which has one writing process, a child is a *reader*:

    a request on one of its connections is …
      a read of info, bundle, manifest or file   answered by the reader, from a read-only database connection
      anything else                              the whole connection goes to the parent, for good:
                                                 plain: its descriptor;  TLS: one end of a socket pair, relayed
    what its reads are worth remembering         written by the parent, on request (`forwarding`)

Only children have a channel, so the parent believes what comes through it: the peer's address of a relayed connection,
and rows for the audit table.
"""
