package org.gridwatch.connect.record;

/** Where the values of a row's key columns come from. */
public enum KeyMode {
    /** Fields of the record's value. */
    VALUE,
    /** Fields of the record's value, and the record's key for those that are missing or null. */
    FILL,
    /** The record's key; such fields of the value are not looked at. */
    KEY
}
