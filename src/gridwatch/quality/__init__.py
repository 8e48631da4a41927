"""Great Expectations: suites, gridwatch's own expectations, and validation reports."""
