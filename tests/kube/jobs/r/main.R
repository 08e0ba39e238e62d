# Looks for each dependency on the driver and prints what it saw; base R only, because PyPI's Spark has no SparkR.
folder <- "/var/spark-data"
cat("R PROBE file", readLines("probe.csv", n = 1), "\n")
cat("R PROBE jars", list.files(file.path(folder, "spark-jars")), "\n")
cat("R PROBE python", Sys.getenv("PYTHONPATH"), "\n")
cat("R PROBE archive", file.exists("env/bin/python"), "\n")
