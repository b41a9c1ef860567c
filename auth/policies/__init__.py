"""Who may do what: pure functions over a viewer and a row. They read nothing, so a table of cases is their whole test."""
