package probe;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.apache.spark.SparkFiles;
import probe.dependency.Greeting;

/** The marker of each dependency, as code in this very JVM finds it by using that dependency. */
final class Observation {
  /** The archive's interpreter imports the Python files and its own module, so one call proves all of them. */
  private static final String[] ASK_PYTHON = {
    "./env/bin/python", "-c",
    "import json, probe_env, probe_module, probe_package as package;"
        + "print(json.dumps({'archive': probe_env.MARKER, 'module': probe_module.MARKER, 'package': package.MARKER}))"
  };

  private Observation() {}

  static Map<String, String> here() {
    Map<String, String> seen = new TreeMap<>(fromPython());
    seen.put("main", Greeting.resource(Observation.class, "marker"));
    seen.put("jar", Greeting.marker());
    seen.put("file", orFailure(() -> Files.readString(Path.of("probe.csv")).strip()));
    seen.put("spark_files", orFailure(() -> Files.readString(Path.of(SparkFiles.get("probe.csv"))).strip()));
    return seen;
  }

  private static Map<String, String> fromPython() {
    try {
      Process python = new ProcessBuilder(ASK_PYTHON).redirectErrorStream(true).start();
      String answer = new String(python.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (python.waitFor() != 0) {
        return Map.of("archive", "failed: " + answer);
      }
      return new ObjectMapper().readValue(answer, new TypeReference<Map<String, String>>() {});
    } catch (IOException | InterruptedException error) {
      return Map.of("archive", "failed: " + error);
    }
  }

  private static String orFailure(Callable<String> read) {
    try {
      return read.call();
    } catch (Exception error) {
      return "failed: " + error;
    }
  }
}
