/**
 * The writer for GridDB's Web API v2: GridDB Cloud, clusters behind a firewall, and {@code gridwatch serve}.
 *
 * <p>Schemas are read and made with SQL, since the API's own calls know neither keys of several columns nor partitions;
 * rows go through the put of several containers at once, whose JSON types are not read again as text.
 */
package org.gridwatch.connect.writer.webapi;
