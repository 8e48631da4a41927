package org.gridwatch.connect.json;

/**
 * Stands for a record that {@link StrictJsonConverter} could not read, where the sink is to report it.
 *
 * @param reason as a person would write it
 */
public record Unreadable(String reason) {
    @Override
    public String toString() {
        return "a record that could not be read: " + reason;
    }
}
