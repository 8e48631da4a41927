package org.gridwatch.connect.writer;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Puts rows into containers of one database and removes them.
 *
 * <p>A row is an array of values in the order of the container's columns, each of {@link ColumnType#javaType()} or
 * {@code null} where the column is nullable. Times are instants from 1970 to 9999, floats are finite: the caller has
 * seen to that. Every method throws {@link WriteException}, tries once, and may wait as long as its time limit. Nothing
 * is kept back: when a method returns, it is done. Used by one thread, {@link #close()} aside; others, here or on other
 * machines, may change the same containers meanwhile.
 */
public interface ContainerWriter extends AutoCloseable {
    /**
     * Looks a container up, as it is now on the server; a view is none.
     *
     * <p>The rows of the next {@link #put} are for the schema that this method returned last.
     *
     * @param name in any case
     */
    Optional<Container> container(String name);

    /**
     * Makes a container. One that is there already is no error and stays as it is: look it up afterwards.
     *
     * @param container with its columns, the key's first, and its partitioning if any
     */
    void create(Container container);

    /**
     * Adds columns at a container's end. One that is there already is no error and stays as it is: look the container
     * up afterwards.
     *
     * @param name of the container
     * @param added nullable columns
     */
    void addColumns(String name, List<Column> added);

    /**
     * Puts rows: each replaces the one that has its key. The rows of one container are put in their order, so that the
     * last one of a key stays.
     *
     * <p>When this throws, any of the rows may have been put.
     *
     * @param rows by the container's name as {@link #container} gave it
     */
    void put(Map<String, List<Object[]>> rows);

    /**
     * Removes rows by their keys; keys that are not there are no error.
     *
     * @param name of the container
     * @param keys each the values of the key's columns, in the key's order
     */
    void delete(String name, List<Object[]> keys);

    /** Closes connections; may be called twice and never throws. */
    @Override
    void close();
}
