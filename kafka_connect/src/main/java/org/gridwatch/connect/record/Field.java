package org.gridwatch.connect.record;

import org.apache.kafka.connect.data.Schema;

/**
 * One field of a record.
 *
 * @param name as the record has it
 * @param schema what it is declared as; {@code null} without a schema
 * @param value as Connect's converter made it
 */
public record Field(String name, Schema schema, Object value) {}
