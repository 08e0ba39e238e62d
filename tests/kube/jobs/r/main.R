# Looks for each dependency on the driver, lets executors look for them, and prints what both saw.
#
# PyPI's Spark has no SparkR, so this speaks to the JVM beside it as SparkR does: over a socket, with a secret, each
# message with its size before it, texts with a zero at their end.

folder <- "/var/spark-data"
cat("R PROBE file", readLines("probe.csv", n = 1), "\n")
cat("R PROBE jars", list.files(file.path(folder, "spark-jars")), "\n")
cat("R PROBE archive and Python", system2("./env/bin/python", c("-c", shQuote(
  "import probe_env, probe_module, probe_package as p; print(probe_env.MARKER, probe_module.MARKER, p.MARKER)"
)), stdout = TRUE), "\n")

number <- function(value) writeBin(as.integer(value), raw(), endian = "big")
text <- function(value) c(number(nchar(value, "bytes") + 1), charToRaw(value), as.raw(0))
read_number <- function(from) readBin(from, integer(), 1, endian = "big")
read_text <- function(from) rawToChar(readBin(from, raw(), read_number(from)))

backend <- socketConnection(
  "localhost", as.integer(Sys.getenv("EXISTING_SPARKR_BACKEND_PORT")), blocking = TRUE, open = "wb", timeout = 600
)
writeBin(text(Sys.getenv("SPARKR_BACKEND_AUTH_SECRET")), backend)
stopifnot(read_text(backend) == "ok")
call <- c(number(1), text("probe.dependency.OnExecutors"), text("observe"), number(0)) # 1: a static method
writeBin(c(number(length(call)), call), backend)
failed <- read_number(backend)
if (failed == 0) readBin(backend, raw(), 1) # the type: a text
cat("R PROBE executors", read_text(backend), "\n")
quit(status = if (failed == 0) 0 else 1)
