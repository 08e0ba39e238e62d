package probe;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/** Looks for every dependency on the driver and on each executor; prints what it saw as one line: PROBE and JSON. */
public final class Job {
  private static final int EXECUTORS = 2;
  private static final int ROUNDS = 20;

  private Job() {}

  public static void main(String[] arguments) throws Exception {
    SparkSession spark = SparkSession.builder().appName("probe-java").getOrCreate();
    Map<String, Object> seen = new TreeMap<>();
    seen.put("driver", Observation.here());
    seen.put("executors", onExecutors(new JavaSparkContext(spark.sparkContext())));
    System.out.println("PROBE " + new ObjectMapper().writeValueAsString(seen));
    spark.stop();
  }

  /** Runs short tasks until every executor has answered: Spark gives no way to address one. */
  private static Map<String, Map<String, String>> onExecutors(JavaSparkContext context) {
    Map<String, Map<String, String>> seen = new TreeMap<>();
    List<Integer> tasks = Collections.nCopies(2 * EXECUTORS, 0);
    for (int round = 0; round < ROUNDS && seen.size() < EXECUTORS; round++) {
      context.parallelize(tasks, tasks.size()).map(Job::onExecutor).collect()
          .forEach(answer -> seen.put(answer._1(), answer._2()));
    }
    return seen;
  }

  private static Tuple2<String, Map<String, String>> onExecutor(Integer task) throws InterruptedException {
    // Long enough that no executor can take every task before the others ask for one.
    Thread.sleep(300);
    return new Tuple2<>(SparkEnv.get().executorId(), Observation.here());
  }
}
