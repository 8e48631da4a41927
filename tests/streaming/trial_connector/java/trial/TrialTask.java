package trial;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Map;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/** Looks at its file at the start and at each call. */
public class TrialTask extends SinkTask {
  private String file;

  @Override
  public void start(Map<String, String> given) {
    file = given.getOrDefault("fail.file", "");
    String target = given.getOrDefault("secret.file", "");
    if (!target.isEmpty()) {
      try {
        Files.writeString(Path.of(target), given.get("secret"));
      } catch (IOException error) {
        throw new ConnectException("the secret cannot be written to " + target, error);
      }
    }
    look();
  }

  @Override
  public void put(Collection<SinkRecord> records) {
    look();
  }

  @Override
  public void stop() {
    // Nothing is held.
  }

  @Override
  public String version() {
    return "1.0";
  }

  private void look() {
    if (!file.isEmpty() && Files.exists(Path.of(file))) {
      throw new ConnectException("told to fail", new IllegalStateException("the file " + file + " is there"));
    }
  }
}
