package org.gridwatch.connect;

import org.apache.kafka.connect.sink.SinkRecord;

/**
 * What a record asks of a container.
 *
 * @param record it comes from
 * @param container the name, as GridDB keeps it
 * @param values a row in the order of the columns, or of a deletion the key's values
 * @param key the key's values, where deletions may follow; {@code null} otherwise
 * @param delete whether the row with this key goes
 */
record Operation(SinkRecord record, String container, Object[] values, Key key, boolean delete) {}
