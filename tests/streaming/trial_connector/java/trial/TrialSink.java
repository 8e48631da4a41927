package trial;

import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;

/** A sink that does as a test tells it: it fails as long as a file is there. */
public class TrialSink extends SinkConnector {
  static final ConfigDef CONFIG =
      new ConfigDef()
          .define("fail.file", ConfigDef.Type.STRING, "", ConfigDef.Importance.HIGH, "Fails while this file exists.")
          .define("level", ConfigDef.Type.INT, 1, ConfigDef.Range.between(1, 9), ConfigDef.Importance.LOW, "1 to 9.")
          .define("secret", ConfigDef.Type.PASSWORD, "", ConfigDef.Importance.LOW, "Written to the file of secrets.")
          .define("secret.file", ConfigDef.Type.STRING, "", ConfigDef.Importance.LOW, "Where it is written.");

  private Map<String, String> settings;

  @Override
  public void start(Map<String, String> given) {
    settings = given;
  }

  @Override
  public Class<? extends Task> taskClass() {
    return TrialTask.class;
  }

  @Override
  public List<Map<String, String>> taskConfigs(int most) {
    return IntStream.range(0, most).mapToObj(number -> settings).toList();
  }

  @Override
  public void stop() {
    // Nothing is held.
  }

  @Override
  public ConfigDef config() {
    return CONFIG;
  }

  @Override
  public String version() {
    return "1.0";
  }
}
