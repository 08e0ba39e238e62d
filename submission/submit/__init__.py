"""`spark-staging submit`: what spark-submit does on Kubernetes, without a JVM, and with staged dependencies.

    read → there already? → readiness → preflight → stage → create → bind → wait

Up to `preflight` nothing is made, and all that is wrong is told.  Until the last object is there, whatever fails and
whoever interrupts, all that this run made is deleted again, the bundle too (`undoing`).  From then on the job is the
cluster's: an interruption ends the waiting only.
"""
