"""Where the package meets its machine: long jobs, the compile cache, whole files, errors."""
