package org.gridwatch.connect;

import java.util.Arrays;
import java.util.List;

/**
 * A row's key in one container, to tell whether two operations meet.
 *
 * @param container the name, as GridDB keeps it
 * @param values of the key's columns
 */
record Key(String container, List<Object> values) {
    static Key of(String container, Object[] values) {
        return new Key(container, Arrays.asList(values));
    }

    static Key of(String container, Object[] row, int[] places) {
        Object[] values = new Object[places.length];
        for (int i = 0; i < places.length; i++) {
            values[i] = row[places[i]];
        }
        return of(container, values);
    }
}
