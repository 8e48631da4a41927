package org.gridwatch.connect.writer.griddb;

import com.toshiba.mwcloud.gs.ContainerInfo;
import com.toshiba.mwcloud.gs.GSException;
import com.toshiba.mwcloud.gs.GridStore;
import com.toshiba.mwcloud.gs.GridStoreFactory;
import com.toshiba.mwcloud.gs.Row;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.stream.Collectors;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerWriter;
import org.gridwatch.connect.writer.WriteException;
import org.gridwatch.connect.writer.WriterSettings;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Writes through GridDB's native client, one connection a writer, opened when it is first used. */
public final class NativeWriter implements ContainerWriter {
    private static final Logger LOG = LoggerFactory.getLogger(NativeWriter.class);

    /** More than a batch has containers; one that was forgotten is looked up again. */
    private static final int KNOWN_MAX = 4_000;

    private record Known(ContainerInfo info, Container container) {}

    private final Cluster cluster;
    private final Properties login = new Properties();
    private final int timeoutS;
    private final Sql sql;
    private final Map<String, Known> known = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Known> eldest) {
            return size() > KNOWN_MAX;
        }
    };
    private GridStore store;

    public NativeWriter(WriterSettings settings) {
        cluster = Cluster.parse(settings.url());
        timeoutS = (int) Math.max(1, settings.timeout().toSeconds());
        login.setProperty("user", settings.user());
        login.setProperty("password", settings.password());
        login.setProperty("applicationName", "gridwatch-connect");
        sql = new Sql(cluster, login, timeoutS);
    }

    private interface Action<T> {
        T on(GridStore store) throws Exception;
    }

    private <T> T tried(String what, Action<T> action) {
        try {
            return action.on(opened());
        } catch (Exception error) {
            WriteException told = Errors.of(error, what, cluster.place());
            if (told.kind() != WriteException.Kind.REFUSED) {
                // The client would go on with what it knew of a cluster that is another one now.
                disconnect();
            }
            throw told;
        }
    }

    private GridStore opened() {
        if (store == null) {
            Properties properties = cluster.nativeProperties();
            properties.putAll(login);
            properties.setProperty("transactionTimeout", String.valueOf(timeoutS));
            properties.setProperty("failoverTimeout", String.valueOf(timeoutS));
            try {
                store = GridStoreFactory.getInstance().getGridStore(properties);
            } catch (GSException error) {
                // Such as a host that no name server knows just now: that is nobody's row.
                throw Errors.ofConnecting(error, cluster.place());
            }
        }
        return store;
    }

    @Override
    public Optional<Container> container(String name) {
        return tried("Container '" + name + "'", there -> {
            known.remove(name.toLowerCase(Locale.ROOT));
            ContainerInfo info = there.getContainerInfo(name);
            // A view may have an info, too.
            if (info == null || !isContainer(there, name)) {
                return Optional.empty();
            }
            Container container = Schemas.read(info);
            known.put(name.toLowerCase(Locale.ROOT), new Known(info, container));
            return Optional.of(container);
        });
    }

    @Override
    public void create(Container container) {
        tried("Container '" + container.name() + "'", there -> {
            if (container.partitioning() != null) {
                sql.execute(Sql.createTable(container));
                // Where a view has the name that does nothing, and says nothing.
                if (!isContainer(there, container.name())) {
                    throw WriteException.refused(
                            "'" + container.name() + "' is the name of a view, so no container can have it", null);
                }
            } else if (there.getContainerInfo(container.name()) == null) {
                made(there, container);
            }
            return null;
        });
        LOG.info(
                "Container made, unless it was there: name={} columns={}", container.name(),
                container.columns().size());
    }

    private static boolean isContainer(GridStore there, String name) throws GSException {
        try (com.toshiba.mwcloud.gs.Container<Object, Row> found = there.getContainer(name)) {
            return found != null;
        }
    }

    private static void made(GridStore there, Container container) throws GSException {
        try {
            there.putContainer(container.name(), Schemas.made(container), false).close();
        } catch (GSException error) {
            // Another task may have been quicker, with other columns.
            if (there.getContainerInfo(container.name()) == null) {
                throw error;
            }
        }
    }

    @Override
    public void addColumns(String name, List<Column> added) {
        tried("Container '" + name + "'", there -> {
            for (Column column : added) {
                try {
                    // Not putContainer: it wants all columns, and would drop one that another task adds meanwhile.
                    sql.execute(Sql.addColumn(name, column));
                } catch (java.sql.SQLException error) {
                    ContainerInfo now = there.getContainerInfo(name);
                    if (now == null || Schemas.read(now).column(column.name()).isEmpty()) {
                        throw error;
                    }
                }
            }
            return null;
        });
        LOG.info("Columns added: container={} columns={}", name,
                added.stream().map(Column::name).collect(Collectors.joining(",")));
    }

    @Override
    public void put(Map<String, List<Object[]>> rows) {
        String what = "Container '" + String.join("', '", rows.keySet()) + "'";
        tried(what, there -> {
            Map<String, List<Row>> made = new HashMap<>();
            for (Map.Entry<String, List<Object[]>> entry : rows.entrySet()) {
                made.put(entry.getKey(), rows(there, known(entry.getKey()), entry.getValue()));
            }
            there.multiPut(made);
            return null;
        });
    }

    private static List<Row> rows(GridStore there, Known target, List<Object[]> rows) throws GSException {
        List<Column> columns = target.container().columns();
        Row pattern = there.createRow(target.info());
        List<Row> made = new ArrayList<>(rows.size());
        for (Object[] values : rows) {
            if (values.length != columns.size()) {
                throw WriteException.refused("Container '" + target.container().name() + "' has " + columns.size()
                        + " columns, not " + values.length, null);
            }
            Row row = pattern.createRow();
            for (int i = 0; i < values.length; i++) {
                Rows.set(row, i, columns.get(i).type(), values[i]);
            }
            made.add(row);
        }
        return made;
    }

    @Override
    public void delete(String name, List<Object[]> keys) {
        tried("Container '" + name + "'", there -> {
            Known target = known(name);
            int[] places = target.container().keyPositions();
            try (com.toshiba.mwcloud.gs.Container<Object, Row> container = there.getContainer(name)) {
                if (container == null) {
                    return null;
                }
                for (Object[] values : keys) {
                    container.remove(key(there, target, places, values));
                }
            }
            return null;
        });
    }

    private static Object key(GridStore there, Known target, int[] places, Object[] values) throws GSException {
        Row.Key key = there.createRowKey(target.info());
        for (int i = 0; i < values.length; i++) {
            Rows.set(key, i, target.container().columns().get(places[i]).type(), values[i]);
        }
        return values.length == 1 ? key.getValue(0) : key;
    }

    private Known known(String name) {
        Known found = known.get(name.toLowerCase(Locale.ROOT));
        if (found == null) {
            container(name).orElseThrow(() -> WriteException.refused("There is no container '" + name + "'", null));
            found = known.get(name.toLowerCase(Locale.ROOT));
        }
        return found;
    }

    private void disconnect() {
        GridStore old = store;
        store = null;
        if (old != null) {
            try {
                old.close();
            } catch (GSException error) {
                LOG.debug("Closing a broken connection failed", error);
            }
        }
    }

    @Override
    public void close() {
        known.clear();
        disconnect();
    }
}
