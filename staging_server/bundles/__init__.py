"""What can be done with bundles: the rules between the HTTP handlers and the database.

    creation     from what a submitter asks for to a bundle, once for each Idempotency-Key
    operations   what is done with one that is there, by its submitter and by pods
    overview     what is told of several, or of why one is still there
    shown        a bundle as the API shows it

Every method takes the tenant of the request, and only ever finds what is this tenant's.  A bundle that has ended is
`BundleExpired` (410) for whoever may know of it, with the time and the reason from its tombstone.
"""
