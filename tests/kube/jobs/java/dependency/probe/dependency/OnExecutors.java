package probe.dependency;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/** What executors find, for a program in R, whose own library Spark's package on PyPI does not have. */
public final class OnExecutors {
  private static final String[] ASK_PYTHON = {
    "./env/bin/python", "-c",
    "import probe_env, probe_module, probe_package as package;"
        + "print(probe_env.MARKER, probe_module.MARKER, package.MARKER)"
  };

  private OnExecutors() {}

  /** Starts Spark, and returns "executor id=markers" of each task, separated by ";". */
  public static String observe() {
    SparkSession spark = SparkSession.builder().appName("probe-r").getOrCreate();
    JavaSparkContext context = new JavaSparkContext(spark.sparkContext());
    List<String> seen = context.parallelize(List.of(0, 1, 2, 3), 4).map(OnExecutors::here).collect();
    spark.stop();
    return String.join(";", seen);
  }

  private static String here(Integer task) throws IOException, InterruptedException {
    // Long enough that no executor can take every task before the others ask for one.
    Thread.sleep(500);
    Process python = new ProcessBuilder(ASK_PYTHON).redirectErrorStream(true).start();
    String answer = new String(python.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    String file = Files.readString(Path.of("probe.csv")).strip();
    return SparkEnv.get().executorId() + "=" + Greeting.marker() + " " + file + " " + answer;
  }
}
