package org.gridwatch.connect;

import java.util.concurrent.ThreadLocalRandom;

/**
 * Waits that double.
 *
 * @param firstMs the first one
 * @param longestMs none is longer
 */
public record Backoff(long firstMs, long longestMs) {
    private static final int DOUBLINGS_MAX = 20;

    /**
     * Returns the wait after so many failures in a row, from 1, in ms; less by up to a half at random, so that tasks do
     * not all come back at once.
     */
    public long delayMs(int failures) {
        int doublings = Math.min(DOUBLINGS_MAX, Math.max(0, failures - 1));
        long whole = firstMs > longestMs >> doublings ? longestMs : firstMs << doublings;
        return whole - ThreadLocalRandom.current().nextLong(whole / 2 + 1);
    }
}
