/** What a record of Kafka Connect becomes: its container's name, its row or key there, or the reason why not. */
package org.gridwatch.connect.record;
