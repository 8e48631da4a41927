"""Java for those who have none: jars from Maven Central by lock file, and a JRE."""
