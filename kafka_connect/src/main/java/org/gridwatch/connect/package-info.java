/**
 * A Kafka Connect sink for GridDB.
 *
 * <p>{@link org.gridwatch.connect.GridDBSinkTask} is what a worker runs; {@link org.gridwatch.connect.record} makes
 * rows of records, {@link org.gridwatch.connect.writer} puts them.
 */
package org.gridwatch.connect;
