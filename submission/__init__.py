"""The submission client `spark-staging`: stages what a job needs and prepares Spark to use it.

    spark-submit's arguments  →  spark_submit  →  classify  →  stage  →  server
                                                     ↓
                               templates, conf lines  ←  spark_conf, pod_patch  ←  bundle

`classify`, `spark_submit`, `spark_conf` and `pod_patch` decide and are pure; `local_files`, `stage`, `cluster`
and the commands act.
"""
