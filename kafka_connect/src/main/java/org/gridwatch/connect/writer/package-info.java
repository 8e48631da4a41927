/**
 * How rows get into GridDB: one interface, with a writer for the native client and one for the Web API behind it.
 *
 * <p>Nothing here knows Kafka Connect's records; what a record's values become is decided before.
 */
package org.gridwatch.connect.writer;
