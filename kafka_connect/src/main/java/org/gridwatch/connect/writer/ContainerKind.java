package org.gridwatch.connect.writer;

/** What a container is: rows by any key or none, or rows by time. */
public enum ContainerKind {
    COLLECTION,
    TIME_SERIES
}
