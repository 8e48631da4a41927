package org.gridwatch.connect;

import org.apache.kafka.connect.sink.SinkRecord;

/**
 * A record that is no row.
 *
 * @param record as Connect handed it over
 * @param reason as a person would write it
 */
record Rejected(SinkRecord record, String reason) {}
