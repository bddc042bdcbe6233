"""Statistics of data sets: values, tables, figures."""
