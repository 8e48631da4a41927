package org.gridwatch.connect.writer.griddb;

import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerKind;
import org.gridwatch.connect.writer.Partitioning;

/** Statements that GridDB's native client has no call for: partitioned tables, and columns added while others write. */
final class Sql {
    private final Cluster cluster;
    private final Properties login;
    private final int timeoutS;

    Sql(Cluster cluster, Properties login, int timeoutS) {
        this.cluster = cluster;
        this.login = login;
        this.timeoutS = timeoutS;
    }

    /** Runs one statement on a connection of its own: such statements are rare. */
    void execute(String statement) throws SQLException {
        Properties properties = new Properties();
        properties.putAll(cluster.sqlProperties());
        properties.putAll(login);
        properties.setProperty("loginTimeout", String.valueOf(timeoutS));
        // The driver itself, as the service loader of DriverManager does not see into a plugin's folder.
        try (Connection connection = new com.toshiba.mwcloud.gs.sql.Driver().connect(cluster.sqlUrl(), properties);
                Statement made = connection.createStatement()) {
            made.setQueryTimeout(timeoutS);
            made.execute(statement);
        }
    }

    static String createTable(Container container) {
        List<String> parts = new ArrayList<>();
        for (Column column : container.columns()) {
            parts.add(column(column));
        }
        if (!container.rowKey().isEmpty()) {
            parts.add(
                    "PRIMARY KEY (" + container.rowKey().stream().map(Sql::name).collect(Collectors.joining(", "))
                    + ")");
        }
        return "CREATE TABLE IF NOT EXISTS " + name(container.name()) + " (" + String.join(", ", parts) + ")"
                + (container.kind() == ContainerKind.TIME_SERIES ? " USING TIMESERIES" : "")
                + partitions(container.partitioning());
    }

    static String addColumn(String container, Column column) {
        return "ALTER TABLE " + name(container) + " ADD COLUMN " + column(column);
    }

    private static String column(Column column) {
        return name(column.name()) + " " + column.type().sqlName() + (column.nullable() ? "" : " NOT NULL");
    }

    private static String partitions(Partitioning how) {
        if (how == null) {
            return "";
        }
        String keep = how.expiration() == 0 ? "" : " WITH (expiration_type='PARTITION', expiration_time="
                + how.expiration() + ", expiration_time_unit='" + how.expirationUnit() + "')";
        if (how.interval() == 0) {
            return keep + " PARTITION BY HASH (" + name(how.column()) + ") PARTITIONS " + how.hashCount();
        }
        String width = how.interval() + (how.intervalUnit().isEmpty() ? "" : ", " + how.intervalUnit());
        String hash = how.hashCount() == 0 ? "" : " SUBPARTITION BY HASH (" + name(how.hashColumn())
                + ") SUBPARTITIONS " + how.hashCount();
        return keep + " PARTITION BY RANGE (" + name(how.column()) + ") EVERY (" + width + ")" + hash;
    }

    /** Quotes a name; GridDB takes no quotation mark in one. */
    static String name(String name) {
        if (name.indexOf('"') >= 0) {
            throw new IllegalArgumentException("GridDB takes no quotation mark in the name " + name);
        }
        return '"' + name + '"';
    }
}
