package org.gridwatch.connect;

import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import javax.management.InstanceAlreadyExistsException;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.apache.kafka.common.utils.Sanitizer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The figures of one task, as {@code org.gridwatch.connect:type=sink-task,connector=NAME,task=N}. */
public final class TaskMetrics implements TaskMetricsMXBean, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(TaskMetrics.class);

    /** Whose figures are shown under a name: of a task that was given up, no longer its own. */
    private static final Map<ObjectName, TaskMetrics> SHOWN = new ConcurrentHashMap<>();

    private final ObjectName name;
    private final AtomicLong rowsWritten = new AtomicLong();
    private final AtomicLong rowsDeleted = new AtomicLong();
    private final AtomicLong batches = new AtomicLong();
    private final AtomicLong retries = new AtomicLong();
    private final AtomicLong refused = new AtomicLong();
    private final AtomicLong writeTimeNs = new AtomicLong();
    private volatile long lastWriteNs;
    private volatile String lastError = "";
    private volatile long lastErrorTimeMs;

    TaskMetrics(String connector, String task) {
        try {
            name = new ObjectName("org.gridwatch.connect:type=sink-task,connector=" + Sanitizer.jmxSanitize(connector)
                    + ",task=" + Sanitizer.jmxSanitize(task));
        } catch (JMException error) {
            throw new IllegalArgumentException("connector '" + connector + "' makes no JMX name", error);
        }
    }

    /** Shows the figures over JMX; one of the same name, of a task that was given up, goes. */
    void register() {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        SHOWN.put(name, this);
        try {
            try {
                server.registerMBean(this, name);
            } catch (InstanceAlreadyExistsException error) {
                server.unregisterMBean(name);
                server.registerMBean(this, name);
            }
        } catch (JMException error) {
            LOG.warn("The task's figures are not shown over JMX: name={}", name, error);
        }
    }

    @Override
    public void close() {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        try {
            if (SHOWN.remove(name, this) && server.isRegistered(name)) {
                server.unregisterMBean(name);
            }
        } catch (JMException error) {
            LOG.debug("The task's figures stay shown over JMX: name={}", name, error);
        }
    }

    void written(long rows, long tookNs) {
        rowsWritten.addAndGet(rows);
        took(tookNs);
    }

    void deleted(long rows, long tookNs) {
        rowsDeleted.addAndGet(rows);
        took(tookNs);
    }

    private void took(long tookNs) {
        batches.incrementAndGet();
        writeTimeNs.addAndGet(tookNs);
        lastWriteNs = tookNs;
    }

    void retried(String reason) {
        retries.incrementAndGet();
        failed(reason);
    }

    void refused(String reason) {
        refused.incrementAndGet();
        failed(reason);
    }

    void failed(String reason) {
        lastError = reason;
        lastErrorTimeMs = System.currentTimeMillis();
    }

    @Override
    public long getRowsWritten() {
        return rowsWritten.get();
    }

    @Override
    public long getRowsDeleted() {
        return rowsDeleted.get();
    }

    @Override
    public long getBatches() {
        return batches.get();
    }

    @Override
    public long getRetries() {
        return retries.get();
    }

    @Override
    public long getRecordsRefused() {
        return refused.get();
    }

    @Override
    public long getWriteTimeMs() {
        return TimeUnit.NANOSECONDS.toMillis(writeTimeNs.get());
    }

    @Override
    public double getLastWriteTimeMs() {
        return lastWriteNs / 1e6;
    }

    @Override
    public String getLastError() {
        return lastError;
    }

    @Override
    public long getLastErrorTimeMs() {
        return lastErrorTimeMs;
    }
}
