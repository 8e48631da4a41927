package org.gridwatch.connect.writer.webapi;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerWriter;
import org.gridwatch.connect.writer.WriteException;
import org.gridwatch.connect.writer.WriterSettings;

/** Writes over GridDB's Web API v2. */
public final class WebApiWriter implements ContainerWriter {
    /** The API takes 20 MB, counted by its values; a gateway in front of it may take less. */
    private static final long BODY_BYTES = 4L << 20;

    private static final long BODY_BYTES_MIN = 1L << 12;

    /** More than a batch has containers; one that was forgotten is looked up again. */
    private static final int KNOWN_MAX = 4_000;

    private final WebApiClient api;
    private final Statements statements;
    private final Schemas schemas;
    private final Map<String, Container> known = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Container> eldest) {
            return size() > KNOWN_MAX;
        }
    };

    /**
     * Prepares for a database; nothing is sent yet.
     *
     * @param settings with a URL of {@code griddb+http} or {@code griddb+https}; without a password nobody logs in,
     *     which is enough for {@code gridwatch serve} on the same machine
     */
    public WebApiWriter(WriterSettings settings) {
        WebApiUrl url;
        try {
            url = WebApiUrl.parse(settings.url());
        } catch (IllegalArgumentException error) {
            throw WriteException.fatal(error.getMessage(), error);
        }
        api = new WebApiClient(url, settings);
        statements = new Statements(api);
        schemas = new Schemas(api, statements);
    }

    @Override
    public Optional<Container> container(String name) {
        Optional<Container> found = told(() -> schemas.find(name));
        known.remove(lower(name));
        found.ifPresent(one -> known.put(lower(name), one));
        return found;
    }

    @Override
    public void create(Container container) {
        told(() -> {
            schemas.create(container);
            return null;
        });
    }

    @Override
    public void addColumns(String name, List<Column> added) {
        told(() -> {
            schemas.addColumns(name, added);
            return null;
        });
    }

    @Override
    public void put(Map<String, List<Object[]>> rows) {
        told(() -> {
            send(rows, BODY_BYTES);
            return null;
        });
    }

    private void send(Map<String, List<Object[]>> rows, long bytesMax) {
        // Without a key a row that is put again is another row.
        boolean repeatable = rows.keySet().stream().noneMatch(name -> schema(name).rowKey().isEmpty());
        new RowBodies(this::schema, bytesMax).each(rows, put -> {
            try {
                check(put, api.call("PUT", "containers/rows", put.body(), repeatable));
            } catch (ApiFailure failure) {
                // Nothing of this body is stored. Less at once may do, until it is a row alone that is too large.
                if (!failure.isTooLarge() || put.count() == 1 || bytesMax < BODY_BYTES_MIN) {
                    throw failure;
                }
                send(put.rows(), bytesMax / 4);
            }
        });
    }

    private void check(RowBodies.Put put, JsonNode answers) {
        long stored = 0;
        for (JsonNode answer : answers) {
            stored += answer.path("updatedRows").asLong(0);
        }
        if (stored != put.count()) {
            throw api.refusals().noApi("it says that " + stored + " of " + put.count() + " rows are stored");
        }
    }

    @Override
    public void delete(String name, List<Object[]> keys) {
        told(() -> {
            new Deletion(schema(name)).statements(keys).forEach(statements::change);
            return null;
        });
    }

    private Container schema(String name) {
        Container found = known.get(lower(name));
        if (found == null) {
            found = schemas.find(name).orElseThrow(
                    () -> WriteException.refused("There is no container '" + name + "'.", null));
            known.put(lower(name), found);
        }
        return found;
    }

    private static String lower(String name) {
        return name.toLowerCase(Locale.ROOT);
    }

    private static <T> T told(Supplier<T> action) {
        try {
            return action.get();
        } catch (ApiFailure failure) {
            throw failure.told();
        }
    }

    @Override
    public void close() {
        api.close();
    }
}
