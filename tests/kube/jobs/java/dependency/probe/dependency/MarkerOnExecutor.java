package probe.dependency;

import org.apache.spark.SparkEnv;
import org.apache.spark.sql.api.java.UDF1;

/** A SQL function: how a Python job reaches the dependency inside an executor's JVM. Returns "executor id=marker". */
public final class MarkerOnExecutor implements UDF1<Long, String> {
  @Override
  public String call(Long row) throws InterruptedException {
    // Long enough that no executor can take every row before the others ask for one.
    Thread.sleep(300);
    return SparkEnv.get().executorId() + "=" + Greeting.marker();
  }
}
