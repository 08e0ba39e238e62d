package probe.dependency;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** The dependency's marker: it lies as a resource in this jar and nowhere else. */
public final class Greeting {
  private Greeting() {}

  public static String marker() {
    return resource(Greeting.class, "marker");
  }

  /** The text of a resource beside a class, read from the jar that the class came from. */
  public static String resource(Class<?> beside, String name) {
    try (InputStream stream = beside.getResourceAsStream(name)) {
      return stream == null ? "missing" : new String(stream.readAllBytes(), StandardCharsets.UTF_8).strip();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
