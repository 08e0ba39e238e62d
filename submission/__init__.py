"""The submission client `spark-staging`: stages what a job needs and prepares Spark to use it.

    spark-submit's arguments  →  spark_submit  →  classify  →  stage  →  uploading  →  server
                                                     ↓
                               templates, conf lines  ←  spark_conf, pod_patch  ←  bundle

`classify`, `spark_submit`, `spark_conf`, `pod_patch` and `upload_steps` decide and are pure; `local_files`, `stage`,
`uploading`, `resumable`, `cluster` and the commands act.
"""
