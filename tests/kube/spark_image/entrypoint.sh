#!/bin/bash
# The entrypoint that Spark on Kubernetes expects of an image, and no more than that:
#   driver ARGS...   spark-submit in client mode, inside the driver's pod
#   executor         the executor's JVM, described by environment variables alone
#   ANYTHING ELSE    is run as it stands
set -euo pipefail

driver() {
  exec /usr/bin/tini -s -- "$SPARK_HOME/bin/spark-submit" \
    --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
    --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
    --deploy-mode client "$@"
}

# Spark numbers an executor's JVM options: SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ...
java_options() {
  local number=0 name
  while name=SPARK_JAVA_OPT_$number; [[ -v $name ]]; do
    options+=("${!name}")
    number=$((number + 1))
  done
}

# Same order as in Spark's own image: configuration, the user's class path, Spark's jars, the working folder.
class_path() {
  local path=${SPARK_CONF_DIR:-$SPARK_HOME/conf}
  path+=${HADOOP_CONF_DIR:+:$HADOOP_CONF_DIR}
  path+=${SPARK_CLASSPATH:+:$SPARK_CLASSPATH}
  path+=":$SPARK_HOME/jars/*"
  path+=${SPARK_EXTRA_CLASSPATH:+:$SPARK_EXTRA_CLASSPATH}
  path+=${SPARK_DIST_CLASSPATH:+:$SPARK_DIST_CLASSPATH}
  echo "$path:$PWD"
}

executor() {
  local -a options=()
  java_options
  exec /usr/bin/tini -s -- "$JAVA_HOME/bin/java" "${options[@]}" \
    "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$(class_path)" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" \
    --executor-id "$SPARK_EXECUTOR_ID" \
    --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" \
    --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
    --podName "$SPARK_EXECUTOR_POD_NAME"
}

case ${1:-} in
  driver) shift; driver "$@" ;;
  executor) executor ;;
  *) exec /usr/bin/tini -s -- "$@" ;;
esac
