package org.gridwatch.connect.writer.webapi;

import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.lang.reflect.Array;
import java.time.Instant;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.WriteException;

/** Writes a container's rows as JSON arrays. */
final class Cells {
    private final Container container;
    private final ColumnType[] types;
    private final JsonGenerator json;

    Cells(Container container, JsonGenerator json) {
        this.container = container;
        this.json = json;
        types = container.columns().stream().map(Column::type).toArray(ColumnType[]::new);
    }

    void write(Object[] row) throws IOException {
        if (row.length != types.length) {
            throw WriteException.refused("A row of " + row.length + " values for the " + types.length
                    + " columns of container '" + container.name() + "'.", null);
        }
        json.writeStartArray();
        for (int i = 0; i < types.length; i++) {
            try {
                value(types[i], row[i]);
            } catch (ClassCastException error) {
                throw refused(i, "it takes " + types[i].sqlName() + ", no " + row[i].getClass().getSimpleName(), error);
            } catch (JsonGenerationException error) {
                throw refused(i, error.getOriginalMessage(), error);
            } catch (IllegalArgumentException error) {
                throw refused(i, error.getMessage(), error);
            }
        }
        json.writeEndArray();
    }

    private WriteException refused(int column, String why, Exception error) {
        return WriteException.refused("Column '" + container.columns().get(column).name() + "' of container '"
                + container.name() + "' cannot be given this value: " + why + ".", error);
    }

    private void value(ColumnType type, Object value) throws IOException {
        if (value == null) {
            json.writeNull();
            return;
        }
        switch (type) {
            case BOOL -> json.writeBoolean((Boolean) value);
            case STRING, GEOMETRY -> json.writeString(text((String) value));
            case BYTE, SHORT, INTEGER, LONG -> json.writeNumber(((Number) value).longValue());
            case FLOAT -> json.writeNumber((Float) value);
            case DOUBLE -> json.writeNumber((Double) value);
            case TIMESTAMP, TIMESTAMP_MICRO, TIMESTAMP_NANO -> json.writeString(Times.text(type, (Instant) value));
            case BLOB -> json.writeBinary((byte[]) value);
            default -> elements(type.element(), value);
        }
    }

    private static String text(String value) {
        if (Texts.isBroken(value)) {
            throw new IllegalArgumentException("a text with half a surrogate pair is no Unicode");
        }
        return value;
    }

    private void elements(ColumnType type, Object values) throws IOException {
        json.writeStartArray();
        for (int i = 0; i < Array.getLength(values); i++) {
            value(type, Array.get(values, i));
        }
        json.writeEndArray();
    }
}
