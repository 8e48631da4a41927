package org.gridwatch.connect.record;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;

/**
 * The fields of a record's value or key, from a struct or from a map.
 *
 * @param all in the record's order
 * @param schema of the struct; {@code null} for a map
 */
public record Fields(List<Field> all, Schema schema) implements Iterable<Field> {
    /**
     * Takes a value apart.
     *
     * @param what it is, such as {@code the row}, for messages
     * @throws BadRecordException it is no struct and no map with text for keys
     */
    public static Fields of(Object value, String what) {
        if (value instanceof Struct struct) {
            List<Field> all = new ArrayList<>(struct.schema().fields().size());
            for (org.apache.kafka.connect.data.Field field : struct.schema().fields()) {
                // A default that the producer never sent is for its converter to put in.
                all.add(new Field(field.name(), field.schema(), struct.getWithoutDefault(field.name())));
            }
            return new Fields(all, struct.schema());
        }
        if (value instanceof Map<?, ?> map) {
            List<Field> all = new ArrayList<>(map.size());
            map.forEach((name, field) -> {
                if (!(name instanceof String)) {
                    throw new BadRecordException(what + " has a field whose name is " + Shown.kind(name) + " ("
                            + Shown.value(name) + "), not a string");
                }
                all.add(new Field((String) name, null, field));
            });
            return new Fields(all, null);
        }
        throw new BadRecordException(what + " is " + Shown.kind(value) + ", not an object");
    }

    /** Returns the first field of this name, in any case. */
    public Optional<Field> find(String name) {
        return all.stream().filter(field -> field.name().equalsIgnoreCase(name)).findFirst();
    }

    @Override
    public Iterator<Field> iterator() {
        return all.iterator();
    }
}
