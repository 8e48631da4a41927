/** The writer for GridDB's native client; statements that it has no call for go through GridDB's JDBC driver. */
package org.gridwatch.connect.writer.griddb;
