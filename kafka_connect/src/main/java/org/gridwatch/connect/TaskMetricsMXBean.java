package org.gridwatch.connect;

/** What a task has done since it was started; shown over JMX. */
public interface TaskMetricsMXBean {
    /** Returns the rows put, one that was put again counted again. */
    long getRowsWritten();

    /** Returns the deletions done, of rows that were there or not. */
    long getRowsDeleted();

    /** Returns the requests that put or deleted rows. */
    long getBatches();

    /** Returns how often a request was sent again because GridDB was away or busy. */
    long getRetries();

    /** Returns the records that were bad, each reported to Connect. */
    long getRecordsRefused();

    /** Returns how long requests that put or deleted rows took in all, in ms. */
    long getWriteTimeMs();

    /** Returns how long the last such request took, in ms. */
    double getLastWriteTimeMs();

    /** Returns the last error, empty for none. */
    String getLastError();

    /** Returns when that was, in ms since 1970; 0 for never. */
    long getLastErrorTimeMs();
}
