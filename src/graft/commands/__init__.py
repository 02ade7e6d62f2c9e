"""Commands of graft beside Kedro's own; one file each, imported when called."""
