package org.gridwatch.connect;

import java.util.concurrent.TimeUnit;
import org.gridwatch.connect.writer.WriteException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A few quick repetitions, for what is over at once, such as a partition that moves.
 *
 * <p>Longer waits are Connect's: it goes on polling meanwhile, so that the task keeps its partitions and can be
 * stopped.
 */
final class Retries {
    private static final Logger LOG = LoggerFactory.getLogger(Retries.class);
    private static final int TRIES_MAX = 3;
    private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(3);

    private final TaskMetrics metrics;
    private final Backoff backoff;

    Retries(TaskMetrics metrics, Backoff backoff) {
        this.metrics = metrics;
        this.backoff = backoff;
    }

    /**
     * Runs an action, and again when it fails in a way that may pass.
     *
     * @throws WriteException the last one
     */
    void run(Runnable action) {
        long began = System.nanoTime();
        for (int tries = 1; ; tries++) {
            try {
                action.run();
                return;
            } catch (WriteException error) {
                boolean over = tries == TRIES_MAX || System.nanoTime() - began > PATIENCE_NS;
                if (error.kind() != WriteException.Kind.RETRIABLE || over) {
                    throw error;
                }
                metrics.retried(error.getMessage());
                LOG.info("Tried again at once: tries={} reason={}", tries, error.getMessage());
                pause(backoff.delayMs(tries), error);
            }
        }
    }

    private static void pause(long delayMs, WriteException error) {
        try {
            Thread.sleep(Math.min(delayMs, TimeUnit.SECONDS.toMillis(1)));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw error;
        }
    }
}
