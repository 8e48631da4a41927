package org.gridwatch.connect;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.Config;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;

/** Writes the records of topics as rows of GridDB's containers. */
public final class GridDBSinkConnector extends SinkConnector {
    /** Tells a task its number; not for people. */
    static final String TASK_ID = "gridwatch.task.id";

    private Map<String, String> properties = Map.of();

    @Override
    public String version() {
        return version(GridDBSinkConnector.class);
    }

    static String version(Class<?> type) {
        String found = type.getPackage().getImplementationVersion();
        return found == null ? "unknown" : found;
    }

    @Override
    public ConfigDef config() {
        return Options.definition();
    }

    @Override
    public Class<? extends Task> taskClass() {
        return GridDBSinkTask.class;
    }

    /** As every connector's, and tells each option that does not go with another. */
    @Override
    public Config validate(Map<String, String> all) {
        Map<String, String> given = GridDBSinkConfig.present(all);
        Config config = super.validate(given);
        boolean allRight = config.configValues().stream().allMatch(value -> value.errorMessages().isEmpty());
        if (allRight) {
            Map<String, String> found = GridDBSinkConfig.contradictions(given);
            for (ConfigValue value : config.configValues()) {
                if (found.containsKey(value.name())) {
                    value.addErrorMessage(found.get(value.name()));
                }
            }
        }
        return config;
    }

    @Override
    public void start(Map<String, String> given) {
        new GridDBSinkConfig(given);
        properties = new HashMap<>(given);
    }

    /** Offsets are Kafka's alone, so that they can be altered while the connector is stopped. */
    @Override
    public boolean alterOffsets(Map<String, String> given, Map<TopicPartition, Long> offsets) {
        return true;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int tasksMax) {
        List<Map<String, String>> configs = new ArrayList<>(tasksMax);
        for (int task = 0; task < tasksMax; task++) {
            Map<String, String> config = new HashMap<>(properties);
            config.put(TASK_ID, String.valueOf(task));
            configs.add(config);
        }
        return configs;
    }

    @Override
    public void stop() {
        properties = Map.of();
    }
}
