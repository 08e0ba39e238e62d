"""What stock Spark left behind below `spark.kubernetes.file.upload.path`, what it costs, and who still needs it.

Everything here only reads.  A store lists folders (`stores`, `folders`), the cluster says which of them live jobs name
(`live_jobs`), pure functions decide (`judging`), and sums of them make the report (`summing`, `equal_content`).
Memory does not grow with the number of folders.
"""
